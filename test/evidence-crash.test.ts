import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { checkStore } from '../operator/evidence/check.ts';
import { bot, stream } from '../operator/evidence/evidence.fixture.ts';
import { spent } from '../operator/ledger/view.ts';
import { readSpooledEntries } from '../proxy/evidence/spool/recovery.ts';
import { boundNano, costNano, openWorld, type Stage, stages, team } from './evidence-world.ts';

/** What must have been charged once the next process has recovered. */
const charged: Readonly<Record<Stage, number>> = {
  opened: 0,
  granted: 0,
  call_opened: boundNano,
  free_error_seen: 0,
  call_reopened: boundNano,
  answer_seen: costNano,
  entry_written: costNano,
  shipped: costNano,
  second_call_opened: costNano + boundNano,
  closed: 2 * costNano,
  close_shipped: 2 * costNano,
};

for (const stage of stages) {
  test(`a proxy killed when it had "${stage}" leaves no free call, no phantom reservation and a chain that verifies`, async (t) => {
    const dataDir = mkdtempSync(join(tmpdir(), 'keyforge-evidence-'));
    t.after(() => rmSync(dataDir, { recursive: true, force: true }));
    const child = spawnSync(process.execPath, [fileURLToPath(new URL('evidence-child.ts', import.meta.url)), dataDir, stage]);
    assert.equal(child.signal, 'SIGKILL', child.stderr.toString());

    const world = openWorld(dataDir);
    const { recorder, store, shipper, rootKey } = world;
    assert.deepEqual(checkStore(store, rootKey, readSpooledEntries(join(dataDir, 'spool'))).problems, [], 'before recovery');
    await recorder.ready();
    assert.equal(recorder.epoch, 2);
    await shipper.flush(recorder.stream, recorder.epoch, recorder.head());
    const wasClosed = stage === 'closed' || stage === 'close_shipped';
    store.transaction((tx) => {
      assert.equal(spent(tx, bot), charged[stage]);
      assert.equal(spent(tx, team), charged[stage]);
      assert.deepEqual(tx.ledger.openGrants(stream, 1), [], 'nothing is held by the dead epoch');
      assert.equal(tx.streams.epoch(stream, 1)?.state, wasClosed ? 'closed' : 'recovered');
    });
    assert.deepEqual(checkStore(store, rootKey, readSpooledEntries(join(dataDir, 'spool'))).problems, []);
    const grant = await world.fund(boundNano);
    recorder.release([grant]);
    recorder.close();
    await world.close();
  });
}

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { keyName } from '../../core/names.ts';
import { keepClosedGrantsMs } from '../ledger/settled.ts';
import { checkStore } from './check.ts';
import { callBody, closeBody, createWorld, planBelow, recoveredBody, type World } from './evidence.fixture.ts';

const otherTeam = keyName('platform', 'other-team');

interface Place {
  readonly world: World;
  problems(): readonly string[];
  /** Lets time pass until all closed grants are pruned. */
  prune(): void;
  /** Changes the store directly, without KeyForge. */
  alter(sql: string): void;
}

function openPlace(t: TestContext): Place {
  const dir = mkdtempSync(join(tmpdir(), 'keyforge-check-'));
  const path = join(dir, 'keyforge.db');
  const rootKey = randomBytes(32);
  let nowMs = Date.UTC(2026, 10, 20, 10);
  const world = createWorld(path, rootKey, () => nowMs);
  t.after(() => {
    world.store.close();
    rmSync(dir, { recursive: true });
  });
  return {
    world,
    problems: () => checkStore(world.store, rootKey, []).problems,
    prune() {
      nowMs += keepClosedGrantsMs + 86_400_000;
      world.store.transaction((tx) => tx.ledger.prune(tx.now() - keepClosedGrantsMs));
    },
    alter(sql) {
      const db = new DatabaseSync(path);
      db.exec(sql);
      db.close();
    },
  };
}

test('an epoch that was recovered twice is charged once', (t) => {
  const { world, problems, prune } = openPlace(t);
  const first = world.writer();
  world.ship([first.open()]);
  const grant = world.fund(first, 1000);
  const charges = [{ requestId: 'r-9', paidFrom: [{ costNanoUsd: '40', grant }] }];
  for (const writer of [world.writer(), world.writer()]) world.ship([writer.write(recoveredBody({ lastSeq: 0, charges }))]);
  assert.deepEqual(problems(), []);
  prune();
  assert.deepEqual(problems(), []);
});

test('charges of a key without recorded calls may be from any ancestor, once the grant is pruned', (t) => {
  const { world, problems, prune, alter } = openPlace(t);
  const first = world.writer();
  world.ship([first.open()]);
  const grant = world.fund(first, 1000);
  const charges = [{ requestId: 'r-9', paidFrom: [{ costNanoUsd: '40', grant }] }];
  world.ship([world.writer().write(recoveredBody({ lastSeq: 0, charges }))]);
  prune();
  assert.deepEqual(problems(), []);
  alter("UPDATE accounts SET state = replace(state, '[40,', '[41,') WHERE key = 'platform/team'");
  assert.match(problems().join(), /^account of platform\/team: \$0\.000000041 settled, and its entries come to \$0\.00 to \$0\.00000004;/);
});

test('a key that was moved may have paid from its previous parent, once the grants are pruned', (t) => {
  const { world, problems, prune, alter } = openPlace(t);
  const writer = world.writer();
  world.ship([writer.open()]);
  const [before, after] = [world.fund(writer, 1000), world.fund(writer, 1000, planBelow(otherTeam))];
  const paid = (grant: string, costNanoUsd: string) => callBody([{ grant, costNanoUsd }]);
  world.ship([
    writer.write(paid(before, '100')),
    writer.write({ ...paid(before, '20'), path: [otherTeam] }),
    writer.write({ ...paid(after, '3'), path: [otherTeam] }),
    writer.write(closeBody()),
  ]);
  assert.deepEqual(problems(), []);
  prune();
  assert.deepEqual(problems(), []);
  alter("UPDATE accounts SET state = replace(state, '[123,', '[122,') WHERE key = 'agents/bot' AND window = 'Total'");
  assert.match(problems().join(), /^account of agents\/bot: \$0\.000000122 settled, and its entries come to \$0\.000000123$/);
});

test('the accounts of a grant that was altered to name no account stay unexplained', (t) => {
  const { world, problems, alter } = openPlace(t);
  const writer = world.writer();
  world.ship([writer.open()]);
  const grant = world.fund(writer, 1000);
  world.ship([writer.call([{ costNanoUsd: '40', grant }]), writer.write(closeBody())]);
  alter(`UPDATE grants SET accounts = '["nobody"]'`);
  assert.match(problems().join('\n'), /^account of agents\/bot: \$0\.00000004 settled, and its entries come to \$0\.00$/m);
});

test('minutes and old windows are not compared', (t) => {
  const { world, problems, prune, alter } = openPlace(t);
  const writer = world.writer();
  world.ship([writer.open()]);
  const grant = world.fund(writer, 1000);
  world.ship([writer.call([{ costNanoUsd: '40', grant }]), writer.write(closeBody())]);
  alter("UPDATE accounts SET state = replace(state, '[40,', '[41,') WHERE window = 'Day'");
  assert.match(problems().join(), /^account of agents\/bot Day from \S+Z: \$0\.000000041 settled/);
  prune();
  assert.deepEqual(problems(), []);
});

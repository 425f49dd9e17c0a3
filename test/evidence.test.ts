import assert from 'node:assert/strict';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { runKeyforge } from './cli.ts';
import { startWorld } from './harness.ts';

const ask = { model: 'gpt-5.4-mini', max_tokens: 20, messages: [{ role: 'user', content: 'Hello evidence' }] };

let root: string;
let original: string;

before(async () => {
  root = await mkdtemp(join(tmpdir(), 'keyforge-evidence-'));
  original = join(root, 'original');
  const world = await startWorld();
  for (let call = 0; call < 6; call += 1) await (await world.post('/v1/chat/completions', ask)).text();
  await world.records(6);
  await world.standalone.close();
  await cp(world.dataDir, original, { recursive: true });
  await world.close();
});
after(() => rm(root, { recursive: true, force: true }));

/** A copy of the data in which somebody changed rows; what verification says of it. */
async function tampered(change: (db: DatabaseSync) => void): Promise<{ readonly code: number | null; readonly text: string }> {
  const copy = await mkdtemp(join(root, 'copy-'));
  await cp(original, copy, { recursive: true });
  const db = new DatabaseSync(join(copy, 'keyforge.db'));
  change(db);
  db.close();
  const { code, stdout, stderr } = await runKeyforge(['audit', 'verify', '--data', copy]);
  return { code, text: stdout + stderr };
}

const callAt = "SELECT position FROM entries WHERE type = 'call' ORDER BY position LIMIT 1 OFFSET";

test('what nobody touched verifies', async () => {
  const { code, text } = await tampered(() => {});
  assert.equal(code, 0, text);
});

test('an edited entry is found and named', async () => {
  const { code, text } = await tampered((db) => {
    const row = db.prepare(`SELECT position, seq, body FROM entries WHERE position = (${callAt} 2)`).get() as {
      position: number;
      seq: number;
      body: Uint8Array;
    };
    const body = Buffer.from(row.body)
      .toString('utf8')
      .replace(/"costNanoUsd":"\d+"/, '"costNanoUsd":"1"');
    db.prepare('UPDATE entries SET body = ? WHERE position = ?').run(Buffer.from(body), row.position);
  });
  assert.equal(code, 1, text);
  assert.match(text, /agents\/bot@\S+ epoch 1 seq 3: its salt or body was changed after its MAC was made/);
});

test('a removed entry is found and named', async () => {
  const { code, text } = await tampered((db) => db.exec(`DELETE FROM entries WHERE position = (${callAt} 3)`));
  assert.equal(code, 1, text);
  assert.match(text, /missing|removed|gap/i);
});

test('swapped entries are found', async () => {
  const { code, text } = await tampered((db) => {
    const a = db.prepare(`SELECT * FROM entries WHERE position = (${callAt} 1)`).get() as Record<string, never>;
    const b = db.prepare(`SELECT * FROM entries WHERE position = (${callAt} 2)`).get() as Record<string, never>;
    const put = db.prepare('UPDATE entries SET body = ?, salt = ?, mac = ?, previous_mac = ? WHERE position = ?');
    put.run(b['body'] ?? null, b['salt'] ?? null, b['mac'] ?? null, b['previous_mac'] ?? null, a['position'] ?? null);
    put.run(a['body'] ?? null, a['salt'] ?? null, a['mac'] ?? null, a['previous_mac'] ?? null, b['position'] ?? null);
  });
  assert.equal(code, 1, text);
});

test('a truncated stream is found and named', async () => {
  const { code, text } = await tampered((db) => {
    db.exec("DELETE FROM entries WHERE stream LIKE 'agents/bot@%' AND seq > 3");
  });
  assert.equal(code, 1, text);
  assert.match(text, /truncated|removed from the end|missing/i);
});

test('a stream that was removed whole is found', async () => {
  const { code, text } = await tampered((db) => db.exec("DELETE FROM entries WHERE stream LIKE 'agents/bot@%'"));
  assert.equal(code, 1, text);
});

test('a folder that holds no data could not be checked', async () => {
  const { code } = await runKeyforge(['audit', 'verify', '--data', join(root, 'nowhere')]);
  assert.equal(code, 3);
});

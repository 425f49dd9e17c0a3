import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { deriveEpochKey } from '../../core/audit/entry.ts';
import type { CallBody, EntryBody } from '../../core/audit/types.ts';
import { Verifier } from '../../core/audit/verify.ts';
import type { TokenId } from '../../core/names.ts';
import { type ControlPort, ControlUnavailable } from '../../core/protocol/control.ts';
import { createRecorder, type Recorder } from './recorder.ts';
import { bot, folder, open, owed, stream } from './spool/spool.fixture.ts';
import { type Spool, SpoolUnavailable } from './spool/spool.ts';

export const root: Buffer = randomBytes(32);

/** An operator that opens epochs and knows their nonces. */
function createOperator(): Pick<ControlPort, 'open'> & { nonces: string[]; down: boolean; old: boolean } {
  const nonces: string[] = [];
  return {
    nonces,
    down: false,
    old: false,
    open() {
      if (this.down) return Promise.reject(new ControlUnavailable('away'));
      const nonce = randomBytes(16).toString('hex');
      nonces.push(nonce);
      const chainKey = deriveEpochKey(root, nonce, stream, nonces.length).toString('hex');
      const opened = { stream, epoch: nonces.length, nonce, chainKey };
      return Promise.resolve(this.old ? opened : { ...opened, takesRefusals: true });
    },
  };
}

export interface World {
  readonly operator: ReturnType<typeof createOperator>;
  readonly clock: { ms: number };
  readonly dir: string;
  spool: Spool;
  recorder: Recorder;
}

/** The real spool behind a switch that makes it full, because a disk fills at no exact moment. */
export function createWorld(t: TestContext, dir: string = folder(t), operator: World['operator'] = createOperator()): World {
  const clock = { ms: Date.UTC(2026, 10, 20) };
  const spool = open(dir);
  t.after(() => spool.close());
  const recorder = record(spool, operator, clock);
  return { operator, clock, dir, spool, recorder };
}

function record(spool: Spool, control: Pick<ControlPort, 'open'>, clock: { ms: number }): Recorder {
  return createRecorder({ key: bot, instance: 'i-1', bootId: 'boot-1', control, spool, clock: () => clock.ms, random: randomBytes });
}

/** The next process on the same folder, as a killed one leaves it. */
export function restart(t: TestContext, world: World): World {
  const copy = join(folder(t), 'spool');
  cpSync(world.dir, copy, { recursive: true });
  return createWorld(t, copy, world.operator);
}

export function call(requestId: string, costNano = 3): CallBody {
  return {
    attempts: [],
    code: 'ok',
    costNanoUsd: String(costNano),
    dialect: 'openai.chat',
    endpoint: '/v1/chat/completions',
    estimated: false,
    key: bot,
    labels: {},
    latencyMs: 1,
    owner: {},
    paidFrom: costNano === 0 ? [] : [{ costNanoUsd: String(costNano), grant: 'g-1' }],
    path: [],
    policy: 'sha256:00',
    requestId,
    status: 200,
    stream: false,
    time: '2026-11-20T00:00:00.000Z',
    tokenId: 'aa' as TokenId,
    type: 'call',
    v: 1,
  };
}

export function bodies(world: World): EntryBody[] {
  return owed(world.spool).map(({ body }) => JSON.parse(body.toString()) as EntryBody);
}

export function types(world: World): string[] {
  return bodies(world).map(({ type }) => type);
}

export function assertVerifies(world: World): void {
  const verifier = new Verifier(root, ({ epoch }) => world.operator.nonces[epoch - 1] ?? null);
  for (const entry of owed(world.spool)) verifier.add(entry);
  assert.deepEqual(verifier.findings(), []);
}

/** Fills the disk for a while. */
export function fill(spool: Spool): () => void {
  const { writeEntry, writeOpen, writeOutcome, writeRefusals } = spool;
  const full = (): never => {
    throw new SpoolUnavailable('full');
  };
  Object.assign(spool, { writeEntry: full, writeOpen: full, writeOutcome: full, writeRefusals: full });
  return () => Object.assign(spool, { writeEntry, writeOpen, writeOutcome, writeRefusals });
}

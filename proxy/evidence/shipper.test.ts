import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import fc from 'fast-check';
import type { Chain } from '../../core/audit/chain.ts';
import type { Entry } from '../../core/audit/types.ts';
import { keyName, type StreamId, streamId } from '../../core/names.ts';
import { ControlUnavailable } from '../../core/protocol/control.ts';
import { decodeEntries } from '../../core/protocol/entry-wire.ts';
import type { ShipReply, ShipRequest } from '../../core/protocol/evidence.ts';
import { createShipper, type Shipper } from './shipper.ts';
import { folder, newChain, open, silent, stream, write } from './spool/spool.fixture.ts';
import type { Spool } from './spool/spool.ts';

const other = streamId(keyName('agents', 'bat'), 'i-1');

interface Operator {
  /** What is stored, by stream and epoch. */
  readonly stored: Map<string, Entry[]>;
  /** The entries of each shipment. */
  readonly batches: (readonly Entry[])[];
  /** Replaces the next answers, one each. Where it is called, the entries are still stored. */
  readonly faults: ((store: () => ShipReply) => Promise<ShipReply>)[];
  ship(request: ShipRequest): Promise<ShipReply>;
}

/** Stores what continues a stream, and nothing twice. */
function createOperator(): Operator {
  const stored = new Map<string, Entry[]>();
  const batches: (readonly Entry[])[] = [];
  const faults: Operator['faults'] = [];
  function store(entries: readonly Entry[]): ShipReply {
    const acks = new Map<string, ShipReply['acks'][number]>();
    for (const entry of entries) {
      const id = `${entry.stream} ${entry.epoch}`;
      const chain = stored.get(id) ?? [];
      if (entry.seq === chain.length) chain.push(entry);
      else if (entry.seq < chain.length) assert.deepEqual(chain[entry.seq], entry);
      stored.set(id, chain);
      acks.set(id, { stream: entry.stream, epoch: entry.epoch, seq: chain.length - 1 });
    }
    return { acks: [...acks.values()], rejected: [] };
  }
  return {
    stored,
    batches,
    faults,
    async ship(request) {
      const entries = decodeEntries(request.entries) ?? [];
      batches.push(entries);
      const answer = (): ShipReply => store(entries);
      return faults.shift()?.(answer) ?? answer();
    },
  };
}

async function away(): Promise<never> {
  throw new ControlUnavailable('away');
}

async function loseAnswer(store: () => ShipReply): Promise<never> {
  store();
  throw new ControlUnavailable('the connection broke');
}

function createWorld(t: TestContext): { spool: Spool; operator: Operator; shipper: Shipper; quarantined: string[] } {
  const spool = open(folder(t));
  const operator = createOperator();
  const quarantined: string[] = [];
  const shipper = createShipper({
    control: operator,
    spool,
    logger: silent,
    onQuarantine: (of, epoch, reason) => quarantined.push(`${of} ${epoch} ${reason}`),
    delayMs: 5,
    backOffMs: 2,
  });
  t.after(async () => {
    await shipper.close();
    await spool.close();
  });
  return { spool, operator, shipper, quarantined };
}

/** Until everything is acknowledged. */
async function caughtUp(shipper: Shipper): Promise<void> {
  while (shipper.behind().entries > 0) await wait(1);
}

function storedSeqs(operator: Operator, of: StreamId, epoch = 1): number[] {
  return (operator.stored.get(`${of} ${epoch}`) ?? []).map(({ seq }) => seq);
}

test('entries written within the delay travel together, without a flush', async (t) => {
  const { spool, operator, shipper } = createWorld(t);
  shipper.start();
  const [one, two] = [newChain(), newChain(other)];
  for (let i = 0; i < 3; i += 1) {
    write(spool, one);
    write(spool, two);
  }
  assert.equal(shipper.behind().entries, 6);
  await caughtUp(shipper);
  assert.equal(operator.batches.length, 1);
  assert.deepEqual(storedSeqs(operator, stream), [0, 1, 2]);
  assert.deepEqual(storedSeqs(operator, other), [0, 1, 2]);
});

test('the last entries wait a limited time for an operator that restarts', async (t) => {
  const { spool, operator, shipper } = createWorld(t);
  shipper.start();
  write(spool, newChain());
  operator.faults.push(...Array.from({ length: 5 }, () => away));
  await shipper.close(20_000);
  assert.deepEqual(storedSeqs(operator, stream), [0]);
  operator.faults.push(...Array.from({ length: 50 }, () => away));
  write(spool, newChain(other));
  await shipper.close(10);
  assert.deepEqual(storedSeqs(operator, other), []);
  operator.faults.length = 0;
});

test('a flush ships at once and resolves when the head is stored', async (t) => {
  const { spool, operator, shipper } = createWorld(t);
  shipper.start();
  await shipper.flush(stream, 1, -1);
  const chain = newChain();
  write(spool, chain);
  const first = shipper.flush(stream, 1, 0);
  write(spool, chain);
  await Promise.all([first, shipper.flush(stream, 1, 1)]);
  assert.deepEqual(storedSeqs(operator, stream), [0, 1]);
  await shipper.flush(stream, 1, 1);
});

test('a flush while the operator is unreachable rejects, and the entries arrive later', async (t) => {
  const { spool, operator, shipper } = createWorld(t);
  shipper.start();
  operator.faults.push(away, away, loseAnswer);
  write(spool, newChain());
  await assert.rejects(shipper.flush(stream, 1, 0), ControlUnavailable);
  await caughtUp(shipper);
  assert.deepEqual(storedSeqs(operator, stream), [0]);
  assert.equal(operator.batches.length, 4);
});

test('an operator that lacks earlier entries gets them again', async (t) => {
  const { spool, operator, shipper } = createWorld(t);
  shipper.start();
  const chain = newChain();
  for (let i = 0; i < 3; i += 1) write(spool, chain);
  operator.faults.push(async () => ({ acks: [{ stream, epoch: 1, seq: -1 }], rejected: [] }));
  await caughtUp(shipper);
  assert.deepEqual(storedSeqs(operator, stream), [0, 1, 2]);
});

test('a rejected stream is reported once and holds up no other', async (t) => {
  const { spool, operator, shipper, quarantined } = createWorld(t);
  shipper.start();
  operator.faults.push(async (store) => ({
    ...store(),
    acks: [{ stream: other, epoch: 1, seq: 0 }],
    rejected: [{ stream, epoch: 1, seq: 0, reason: 'forked' }],
  }));
  const [one, two] = [newChain(), newChain(other)];
  write(spool, one);
  write(spool, two);
  await assert.rejects(shipper.flush(stream, 1, 0), /quarantined: forked/);
  write(spool, two);
  await shipper.flush(other, 1, 1);
  assert.deepEqual(quarantined, [`${stream} 1 forked`]);
  assert.deepEqual(storedSeqs(operator, other), [0, 1]);
});

test('a long backlog travels in batches of bounded size, in order', async (t) => {
  const { spool, operator, shipper } = createWorld(t);
  const chain = newChain();
  for (let i = 0; i < 1300; i += 1) write(spool, chain);
  shipper.start();
  await shipper.flush(stream, 1, 1299);
  assert.deepEqual(
    operator.batches.map((entries) => entries.length),
    [512, 512, 276],
  );
  assert.equal(storedSeqs(operator, stream).length, 1300);
});

test('closing makes one last attempt, and never rejects', async (t) => {
  const { spool, operator, shipper } = createWorld(t);
  shipper.start();
  const chain = newChain();
  write(spool, chain);
  await shipper.close();
  assert.deepEqual(storedSeqs(operator, stream), [0]);
  write(spool, chain);
  operator.faults.push(away, away);
  await shipper.close();
  await wait(20);
  assert.equal(operator.batches.length, 2, 'and nothing after');
});

test('whatever is lost on the way, each entry is stored exactly once and in order', async (t) => {
  const fault = fc.constantFrom<Operator['faults'][number] | undefined>(away, loseAnswer, undefined);
  const step = fc.oneof(
    fc.record({ write: fc.constantFrom(stream, other) }),
    fc.record({ flush: fc.constantFrom(stream, other) }),
    fc.record({ fault }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const { spool, operator, shipper } = createWorld(t);
      shipper.start();
      const chains = new Map([stream, other].map((of) => [of, newChain(of)]));
      for (const each of steps) {
        if ('write' in each) write(spool, chainOf(chains, each.write));
        if ('flush' in each) await shipper.flush(each.flush, 1, chainOf(chains, each.flush).head()).catch(() => undefined);
        if ('fault' in each && each.fault !== undefined) operator.faults.push(each.fault);
      }
      operator.faults.length = 0;
      for (const [of, chain] of chains) {
        await shipper.flush(of, 1, chain.head());
        assert.deepEqual(
          storedSeqs(operator, of),
          Array.from({ length: chain.head() + 1 }, (_, i) => i),
        );
      }
      assert.equal(shipper.behind().entries, 0);
      await shipper.close();
    }),
    { numRuns: 40 },
  );
});

function chainOf(chains: ReadonlyMap<StreamId, Chain>, of: StreamId): Chain {
  const chain = chains.get(of);
  assert.ok(chain);
  return chain;
}

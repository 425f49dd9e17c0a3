import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { createChain } from '../../core/audit/chain.ts';
import type { ProxyBody } from '../../core/audit/types.ts';
import { type KeyName, keyName, type StreamId, tokenId } from '../../core/names.ts';
import type { KeyDocument } from '../../core/policy/documents.ts';
import type { ControlPort } from '../../core/protocol/control.ts';
import { encodeEntries } from '../../core/protocol/entry-wire.ts';
import type { Grant } from '../../core/protocol/money.ts';
import type { Push, Snapshot } from '../../core/protocol/snapshot.ts';
import { type Bench, openBench } from '../broker.fixture.ts';
import type { RunScope, Scope } from './scope.ts';

const bot = keyName('agents', 'bot');
const other = keyName('agents', 'other');
const startMs = Date.UTC(2026, 10, 21, 12);
const hourMs = 3_600_000;

/** A bench with a clock that the test moves. */
function withBench(work: (bench: Bench, clock: { nowMs: number }) => Promise<void> | void): () => Promise<void> {
  return async () => {
    const clock = { nowMs: startMs };
    const bench = openBench({ clock: () => clock.nowMs });
    try {
      await work(bench, clock);
    } finally {
      bench.close();
    }
  };
}

type Sidecar = Extract<Scope, { kind: 'sidecar' }>;

function sidecar(podUid: string, more: Partial<Sidecar> = {}, run: Partial<RunScope> = {}): Sidecar {
  return { kind: 'sidecar', instance: podUid, key: bot, run: { podUid, podName: podUid, ...run }, podCreatedAtMs: startMs, ...more };
}

/** Everything that a session pushes from now on, with the last snapshot first. */
function follow(port: ControlPort): { readonly pushes: readonly Push[]; last(): Snapshot } {
  const pushes: Push[] = [];
  port.watch((push) => pushes.push(push));
  return {
    pushes,
    last() {
      const snapshot = pushes.findLast((push) => push.kind === 'snapshot');
      assert.ok(snapshot);
      return snapshot;
    },
  };
}

/** Waits for the first key of this port: keys of runs are made many at once. */
function runOf(port: ControlPort): Promise<KeyDocument> {
  return new Promise((resolve) => {
    port.watch((push) => {
      const document = push.kind === 'snapshot' ? push.keys[0]?.document : undefined;
      if (document?.run !== undefined) resolve(document);
    });
  });
}

const names = ({ keys }: Snapshot): readonly string[] => keys.map(({ document }) => document.key);

/** Opens a stream as a proxy does and has a cent granted to it. */
async function fund(
  port: ControlPort,
  key: KeyName,
  instance: string,
): Promise<{ readonly grant: Grant | null; readonly message: string }> {
  const { stream, epoch, nonce, chainKey } = await port.open({ key, instance });
  const chain = createChain({ stream, epoch, key: Buffer.from(chainKey, 'hex') });
  const time = new Date(startMs).toISOString();
  const body: ProxyBody = { v: 1, type: 'epoch_open', time, key, instance, nonce, bootId: 'boot' };
  await port.ship({ entries: encodeEntries([chain.append(body, randomBytes)]) });
  const figures = {
    atLeastNano: 1e7,
    preferredNano: 1e7,
    boundNano: 1e7,
    wantNano: 1e7,
    atLeastRequests: 0,
    wantRequests: 0,
    tokens: 0,
  } as const;
  const reply = await port.grant({ stream, epoch, head: 0, askId: 'a', ...figures });
  return 'grant' in reply ? { grant: reply.grant, message: '' } : { grant: null, message: reply.denial.message };
}

test(
  'a sidecar is given its own key, its sub-agents, their pools and credentials, and nothing else',
  withBench(async (bench) => {
    bench.declare({
      'agents/bot': { delegation: { maxDepth: 1, maxChildren: 2 } },
      'agents/other': {},
      'agents/door': { delivery: ['Gateway'] },
    });
    const port = bench.broker.session(sidecar('pod-1'));
    const seen = follow(port);
    assert.deepEqual(names(seen.last()), ['agents/bot']);
    assert.deepEqual(
      seen.last().credentials.map(({ name }) => name),
      ['a'],
    );
    await port.mint(bot, { name: 'helper' });
    assert.deepEqual(names(seen.last()), ['agents/bot', 'agents/bot.helper']);
    const door = follow(bench.broker.session({ kind: 'gateway', instance: 'gate-1' }));
    assert.deepEqual(names(door.last()), ['agents/door']);
    assert.deepEqual(names(follow(bench.broker.session(sidecar('pod-2', { key: keyName('agents', 'door') }))).last()), []);
    assert.deepEqual(follow(bench.broker.session(sidecar('pod-3', { key: keyName('agents', 'nobody') }))).last().credentials, []);
  }),
);

test(
  'a change of other keys is not pushed to a sidecar; one of its own is, at once',
  withBench((bench) => {
    bench.declare({ 'agents/bot': {}, 'agents/other': {} });
    const seen = follow(bench.broker.session(sidecar('pod-1')));
    bench.declare({ 'agents/bot': {}, 'agents/other': { suspended: true } });
    assert.equal(seen.pushes.length, 1);
    bench.declare({ 'agents/bot': { suspended: true } });
    assert.equal(seen.last().keys[0]?.document.suspendedBy, bot);
    bench.declare({});
    assert.deepEqual(names(seen.last()), []);
  }),
);

test(
  'what is not a proxy’s own is refused: other keys, other instances, other streams',
  withBench(async (bench) => {
    bench.declare({ 'agents/bot': {}, 'agents/other': {} });
    const port = bench.broker.session(sidecar('pod-1'));
    const refused = { name: 'OutOfScope' };
    await assert.rejects(port.open({ key: other, instance: 'pod-1' }), refused);
    await assert.rejects(port.open({ key: bot, instance: 'pod-2' }), refused);
    await assert.rejects(port.account(other), refused);
    await assert.rejects(port.answerTokens(other, 'a'.repeat(64)), refused);
    await assert.rejects(port.mint(other, {}), refused);
    await assert.rejects(port.children(other), refused);
    await assert.rejects(port.unmint(other, bot), refused);
    const theirs = bench.broker.session(sidecar('pod-2'));
    const { stream, epoch, nonce, chainKey } = await theirs.open({ key: bot, instance: 'pod-2' });
    const chain = createChain({ stream, epoch, key: Buffer.from(chainKey, 'hex') });
    const time = new Date(startMs).toISOString();
    const body: ProxyBody = { v: 1, type: 'epoch_open', time, key: bot, instance: 'pod-2', nonce, bootId: 'boot' };
    const entries = encodeEntries([chain.append(body, randomBytes)]);
    await assert.rejects(port.ship({ entries }), refused);
    assert.equal((await theirs.ship({ entries })).acks.length, 1);
    const figures = {
      atLeastNano: 1,
      preferredNano: 1,
      boundNano: 1,
      wantNano: 1,
      atLeastRequests: 0,
      wantRequests: 0,
      tokens: 0,
    } as const;
    await assert.rejects(port.grant({ stream, epoch, head: -1, askId: 'a', ...figures }), refused);
  }),
);

test(
  'the token that a Pod was started with opens its key over rotations, and no longer after a revocation',
  withBench((bench, clock) => {
    bench.declare({ 'agents/bot': {} });
    const first = tokenId(bench.broker.token(bot) ?? '');
    const opens = () => follow(bench.broker.session(sidecar('pod-1'))).last().keys[0]?.tokens ?? [];
    clock.nowMs += hourMs;
    bench.broker.desk.rotate(bot, 0, 'admin');
    assert.deepEqual(
      opens().map(({ id, validUntilMs }) => [id, validUntilMs]),
      [
        [tokenId(bench.broker.token(bot) ?? ''), undefined],
        [first, undefined],
      ],
    );
    const since = (podCreatedAtMs: number) => follow(bench.broker.session(sidecar('pod-2', { podCreatedAtMs }))).last().keys[0]?.tokens;
    assert.equal(since(clock.nowMs + 59_000)?.length, 2, 'its Secret may have been written after it was started');
    assert.equal(since(clock.nowMs + 60_000)?.length, 1);
    bench.broker.desk.revoke(bot, 'admin');
    assert.deepEqual(opens(), []);
    bench.broker.desk.rotate(bot, 0, 'admin');
    assert.equal(opens().length, 1);
    assert.ok(!opens().some(({ id }) => id === first));
  }),
);

test(
  'each Pod of a key with runs has an account of its own under the key, and the Pods of one Job share theirs',
  withBench(async (bench) => {
    bench.declare({ 'agents/bot': { run: { usd: '0.01', ttl: '1h' }, limits: [{ window: 'Total', usd: '1.00' }] } });
    const ports = ['pod-1', 'pod-2'].map((uid) => bench.broker.session(sidecar(uid)));
    const [one, two] = await Promise.all(ports.map(runOf));
    assert.ok(one && two && ports[0] && ports[1]);
    assert.notEqual(one.key, two.key);
    assert.deepEqual([one.path, one.run, one.expiresAtMs, one.smallestCapNano], [[bot], 'Pod pod-1', startMs + hourMs, 1e7]);
    assert.ok((await fund(ports[0], one.key, 'pod-1')).grant);
    assert.ok((await fund(ports[1], two.key, 'pod-2')).grant);
    const job = (uid: string) => sidecar(uid, {}, { jobUid: 'job-1', jobName: 'nightly' });
    const [left, right] = ['pod-3', 'pod-4'].map((uid) => bench.broker.session(job(uid)));
    assert.ok(left && right);
    const shared = await runOf(left);
    assert.deepEqual([shared.run, (await runOf(right)).key], ['Job nightly', shared.key]);
    assert.ok((await fund(left, shared.key, 'pod-3')).grant);
    assert.match((await fund(right, shared.key, 'pod-4')).message, /budget|reserved|held/i);
  }),
);

test(
  'a run continues after a restart of the operator, stays expired, and ends with its Pod',
  withBench(async (bench, clock) => {
    const keys = { 'agents/bot': { run: { scope: 'Pod', usd: '0.01', ttl: '1h' } } };
    bench.declare(keys);
    const port = bench.broker.session(sidecar('pod-1'));
    const { key: run } = await runOf(port);
    assert.ok((await fund(port, run, 'pod-1')).grant);
    bench.restart();
    bench.declare(keys);
    clock.nowMs += 2 * hourMs;
    bench.broker.runUpkeep();
    const again = follow(bench.broker.session(sidecar('pod-1')));
    assert.deepEqual(
      again.last().keys.map(({ document }) => [document.key, document.expiresAtMs]),
      [[run, startMs + hourMs]],
    );
    bench.broker.retire('pod-1');
    const ended = bench.events();
    assert.ok(ended.includes(`key_revoked VirtualKey ${run}`), ended.join());
    assert.ok(ended.includes(`epoch_abandoned ${run}@pod-1`), ended.join());
  }),
);

test(
  'a proxy that began less than five minutes ago is not retired: a watch may not have seen its Pod yet',
  withBench(async (bench, clock) => {
    bench.declare({ 'agents/bot': { run: { usd: '0.01' } }, 'agents/other': {} });
    const [old, young] = [bench.broker.session(sidecar('pod-1')), bench.broker.session(sidecar('pod-2', { key: other }))];
    const { key: run } = await runOf(old);
    assert.ok((await fund(old, run, 'pod-1')).grant);
    const living = (): readonly string[] => [
      ...bench.store.transaction((tx) => tx.streams.unsettledEpochs().map(({ instance }) => instance)).filter((name) => name !== 'test'),
      ...(bench.broker.live()?.children.map(({ key }) => key) ?? []),
    ];
    clock.nowMs += 299_999;
    assert.ok((await fund(young, other, 'pod-2')).grant);
    bench.broker.retireAllBut(new Set());
    assert.deepEqual(living(), ['pod-1', 'pod-2', run]);
    clock.nowMs += 1;
    bench.broker.retireAllBut(new Set());
    assert.deepEqual(living(), ['pod-2']);
  }),
);

test(
  'the run of a Job lives as long as one of its Pods does, also while a watch has seen neither that Pod nor its Job',
  withBench(async (bench, clock) => {
    bench.declare({ 'agents/bot': { run: { usd: '0.05' } } });
    const job = (uid: string) => bench.broker.session(sidecar(uid, {}, { jobUid: 'job-1', jobName: 'nightly' }));
    const { key: run } = await runOf(job('pod-1'));
    clock.nowMs += hourMs;
    assert.ok((await fund(job('pod-2'), run, 'pod-2')).grant);
    bench.broker.retireAllBut(new Set());
    clock.nowMs += hourMs;
    bench.broker.retireAllBut(new Set(['pod-2']));
    assert.ok(bench.broker.live()?.documents.has(run));
    bench.broker.retireAllBut(new Set());
    assert.equal(bench.broker.live()?.documents.has(run), false);
  }),
);

test(
  'what a vanished proxy held burns once and is reported; a living proxy keeps its grants',
  withBench(async (bench, clock) => {
    bench.declare({ 'agents/bot': { limits: [{ window: 'Total', usd: '0.10' }] } });
    const gone = await fund(bench.broker.session(sidecar('pod-1')), bot, 'pod-1');
    const stays = await fund(bench.broker.session(sidecar('pod-2')), bot, 'pod-2');
    assert.ok(gone.grant && stays.grant);
    clock.nowMs += hourMs;
    bench.broker.retireAllBut(new Set(['pod-2']));
    bench.broker.retireAllBut(new Set(['pod-2']));
    const [account] = (await bench.broker.account(bot)).accounts;
    assert.deepEqual(
      [account?.burnedNanoUsd, account?.outstandingNanoUsd],
      [String(gone.grant.amountNano), String(stays.grant.amountNano)],
    );
    assert.deepEqual(
      bench.events().filter((event) => event.startsWith('epoch_abandoned')),
      ['epoch_abandoned agents/bot@pod-1'],
    );
    assert.deepEqual(bench.alarms, ['burned']);
  }),
);

test(
  'records that do not fit, and money that a proxy lost with its spool, are alarms',
  withBench(async (bench) => {
    bench.declare({ 'agents/bot': { limits: [{ window: 'Total', usd: '0.10' }] } });
    const port = bench.broker.session(sidecar('pod-1'));
    await fund(port, bot, 'pod-1');
    await fund(port, bot, 'pod-1');
    assert.deepEqual(bench.alarms, ['burned']);
    const { stream, epoch, nonce } = await port.open({ key: bot, instance: 'pod-1' });
    const forged = createChain({ stream, epoch, key: Buffer.alloc(32, 1) });
    const body: ProxyBody = {
      v: 1,
      type: 'epoch_open',
      time: new Date(startMs).toISOString(),
      key: bot,
      instance: 'pod-1',
      nonce,
      bootId: 'b',
    };
    await port.ship({ entries: encodeEntries([forged.append(body, randomBytes)]) });
    assert.deepEqual(bench.alarms, ['burned', 'entry_refused']);
  }),
);

test(
  'a living proxy that was taken for gone gets money again in the same epoch; what burned stays burned',
  withBench(async (bench) => {
    bench.declare({ 'agents/bot': { limits: [{ window: 'Total', usd: '0.10' }] } });
    const port = bench.broker.session(sidecar('pod-1'));
    const first = await fund(port, bot, 'pod-1');
    bench.broker.retire('pod-1');
    const figures = {
      atLeastNano: 1e7,
      preferredNano: 1e7,
      boundNano: 1e7,
      wantNano: 1e7,
      atLeastRequests: 0,
      wantRequests: 0,
      tokens: 0,
    } as const;
    const stream = `${bot}@pod-1` as StreamId;
    const reply = await port.grant({ stream, epoch: 1, head: 0, askId: 'b', ...figures });
    assert.ok(first.grant && 'grant' in reply);
    const account = async () => (await bench.broker.account(bot)).accounts[0];
    assert.deepEqual([(await account())?.burnedNanoUsd, (await account())?.outstandingNanoUsd], ['10000000', '10000000']);
    bench.broker.retire('pod-1');
    assert.deepEqual([(await account())?.burnedNanoUsd, (await account())?.outstandingNanoUsd], ['20000000', '0']);
  }),
);

test(
  'what a quarantined stream held burns when its Pod is gone, so that an administrator can credit it; it stays quarantined',
  withBench(async (bench) => {
    bench.declare({ 'agents/bot': { limits: [{ window: 'Total', usd: '0.10' }] } });
    const port = bench.broker.session(sidecar('pod-1'));
    const { grant } = await fund(port, bot, 'pod-1');
    const row = bench.store.transaction((tx) => tx.streams.lastEpoch(`${bot}@pod-1` as StreamId));
    assert.ok(grant && row);
    bench.store.transaction((tx) => tx.streams.putEpoch({ ...row, state: 'quarantined' }));
    bench.broker.retire('pod-1');
    bench.broker.retireAllBut(new Set());
    const [account] = (await bench.broker.account(bot)).accounts;
    assert.deepEqual([account?.burnedNanoUsd, account?.outstandingNanoUsd], [String(grant.amountNano), '0']);
    assert.equal(bench.store.transaction((tx) => tx.streams.lastEpoch(row.stream))?.state, 'quarantined');
    assert.equal(bench.events().filter((event) => event.startsWith('epoch_abandoned')).length, 1);
    assert.deepEqual(
      bench.broker.desk.unmeasured(bot)?.map(({ kind, pending }) => [kind, pending]),
      [['burned', 'proxy_silent']],
    );
  }),
);

test(
  'before the first policy nobody is retired, and nothing fails',
  withBench((bench) => {
    bench.broker.retire('pod-1');
    bench.broker.retireAllBut(new Set());
  }),
);

test(
  'a manifest that adds runs gives two hundred Pods theirs in one change',
  withBench(async (bench) => {
    const limits = [{ window: 'Total', usd: '1.00' }];
    bench.declare({ 'agents/bot': { limits } });
    const ports = Array.from({ length: 200 }, (_, index) => bench.broker.session(sidecar(`pod-${index}`)));
    const runs = ports.map(runOf);
    const before = bench.broker.live()?.revision ?? 0;
    bench.declare({ 'agents/bot': { limits, run: { scope: 'Pod', usd: '0.01' } } });
    assert.equal(new Set((await Promise.all(runs)).map(({ key }) => key)).size, 200);
    assert.equal(bench.broker.live()?.revision, before + 2);
  }),
);

test(
  'a push that fails for one proxy still reaches the others',
  withBench((bench) => {
    bench.declare({ 'agents/bot': {} });
    let isPushed = false;
    bench.broker.session(sidecar('pod-1')).watch(() => {
      if (isPushed) throw new Error('broken');
      isPushed = true;
    });
    const other = follow(bench.broker.session(sidecar('pod-2')));
    bench.broker.desk.revoke(bot, 'admin');
    assert.deepEqual(other.last().keys[0]?.tokens, []);
  }),
);

test(
  'a key that was re-created while the operator was down begins another life: token, ttl and run; its spend stays',
  withBench(async (bench, clock) => {
    const keys = { 'agents/bot': { ttl: '2h', limits: [{ window: 'Total', usd: '0.10' }], run: { scope: 'Pod' } } };
    bench.declare(keys, { [bot]: 'uid-1' });
    const token = bench.broker.token(bot);
    const port = bench.broker.session(sidecar('pod-1'));
    const { key: run } = await runOf(port);
    assert.ok((await fund(port, run, 'pod-1')).grant);
    bench.broker.retire('pod-1');
    clock.nowMs += hourMs;
    bench.restart();
    bench.declare(keys, { [bot]: 'uid-1' });
    assert.equal(bench.broker.token(bot), token);
    bench.restart();
    bench.declare(keys, { [bot]: 'uid-2' });
    assert.notEqual(bench.broker.token(bot), token);
    assert.equal(bench.tokenIds(bot).length, 1);
    assert.equal(bench.broker.live()?.documents.get(bot)?.expiresAtMs, clock.nowMs + 2 * hourMs);
    assert.equal((await bench.broker.account(bot)).accounts[0]?.burnedNanoUsd, '10000000');
    assert.deepEqual(
      bench.events().filter((event) => event.endsWith(` ${bot}`)),
      [`key_created VirtualKey ${bot}`, `key_revoked VirtualKey ${bot}`, `key_created VirtualKey ${bot}`],
    );
  }),
);

test(
  'a key that is re-created under a running operator loses its sub-agents; one without a known uid continues',
  withBench(async (bench) => {
    const keys = { 'agents/bot': { delegation: { maxDepth: 1, maxChildren: 5 } } };
    bench.declare(keys);
    const token = bench.broker.token(bot);
    bench.declare(keys, { [bot]: 'uid-1' });
    assert.equal(bench.broker.token(bot), token);
    const port = bench.broker.session(sidecar('pod-1'));
    const minted = await port.mint(bot, {});
    assert.ok('child' in minted);
    bench.declare(keys, { [bot]: 'uid-2' });
    assert.notEqual(bench.broker.token(bot), token);
    assert.deepEqual(await port.children(bot), []);
    assert.deepEqual(names(follow(port).last()), [bot]);
  }),
);

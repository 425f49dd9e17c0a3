import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { before, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { WebSocket } from 'ws';
import { keyName } from '../../core/names.ts';
import { type ControlPort, ControlUnavailable } from '../../core/protocol/control.ts';
import { helloText } from '../../core/protocol/session.ts';
import type { Push, Snapshot } from '../../core/protocol/snapshot.ts';
import { connectOperator, type OperatorOptions, type Session } from '../../proxy/link/session.ts';
import type { Attestor } from './attest.ts';
import type { AttestedScope, Refused } from './scope.ts';
import {
  hostOf,
  makeCertificates,
  quick,
  type Replica,
  type ReplicaPlan,
  scripted,
  sidecar,
  silent,
  startReplica,
  type TestCertificates,
  until,
} from './world.fixture.ts';

let certificates: TestCertificates;
before(async () => {
  certificates = await makeCertificates();
});

const bot = keyName('agents', 'bot');
const gone: Refused = { refusal: 'pod_gone', retry: false, message: 'Pod agents/agent-1 is deleted' };
const drifted: Refused = {
  refusal: 'pod_drifted',
  retry: false,
  message: 'Pod agents/agent-1 differs from what was injected: /spec/hostPID',
};
const unready: Refused = { refusal: 'pod_unready', retry: true, message: 'the kubelet has not reported which image runs' };
const away: Refused = { refusal: 'api_unavailable', retry: true, message: 'the API server does not answer' };

/** A port whose snapshots the test makes. */
interface FakePort extends ControlPort {
  push(push: Push): void;
  readonly watchers: number;
}

function snapshot(revision: number, size = 0): Snapshot {
  const credentials = [{ pool: 'platform/openai' as never, name: 'a', value: `sk-${'x'.repeat(size)}` }];
  return { kind: 'snapshot', revision, keys: [], pools: [], credentials };
}

function fakePort(): FakePort {
  const watchers = new Set<(push: Push) => void>();
  let last: Push = snapshot(1);
  const unused = (): never => {
    throw new Error('not called here');
  };
  return {
    open: unused,
    ship: unused,
    grant: unused,
    account: unused,
    answerTokens: unused,
    mint: unused,
    unmint: unused,
    children: async () => [],
    watch(listener) {
      watchers.add(listener);
      listener(last);
      return () => void watchers.delete(listener);
    },
    push(push) {
      last = push;
      for (const listener of watchers) listener(push);
    },
    get watchers() {
      return watchers.size;
    },
  };
}

interface World extends Replica {
  readonly port: FakePort;
  readonly host: ReturnType<typeof hostOf>;
  /** The outcome of each token; `token-1` is a sidecar's at first. */
  readonly outcomes: Map<string, AttestedScope | Refused>;
  connect(more?: Partial<OperatorOptions>): Session;
}

async function createWorld(t: TestContext, plan: Partial<ReplicaPlan> = {}): Promise<World> {
  const port = fakePort();
  const host = hostOf(port);
  const outcomes = new Map<string, AttestedScope | Refused>([['token-1', sidecar('pod-1')]]);
  const replica = await startReplica({ certificates, attestor: scripted(outcomes), host, ...plan });
  t.after(() => replica.close());
  return { ...replica, port, host, outcomes, connect: (more) => connectTo(t, replica.url, more) };
}

/** A proxy's end of a session, with quick retries. */
function connectTo(t: TestContext, url: string, more: Partial<OperatorOptions> = {}): Session {
  const session = connectOperator({
    url,
    ca: certificates.ca,
    readToken: () => Promise.resolve('token-1'),
    logger: silent,
    monotonic: () => performance.now(),
    random: () => 0.5,
    ...more,
    timings: { ...quick, ...more.timings },
  });
  t.after(() => session.close());
  return session;
}

/** Revisions that a watch receives; `none` for the empty state. */
function watched(session: Session): readonly string[] {
  const seen: string[] = [];
  session.watch((push) => {
    if (push.kind === 'snapshot') seen.push(push.credentials.length === 0 ? 'none' : String(push.revision));
  });
  return seen;
}

function portOf(url: string): number {
  return Number(new URL(url).port);
}

/** A TCP relay whose target can be changed, and that can silently drop data. */
async function relay(t: TestContext, target: () => number): Promise<{ readonly url: string; swallow: boolean }> {
  const state = { url: '', swallow: false };
  const sockets = new Set<Socket>();
  const server: Server = createServer((down) => {
    const up = connect(target(), '127.0.0.1');
    for (const [from, to] of [
      [down, up],
      [up, down],
    ] as const) {
      sockets.add(from);
      from.on('data', (bytes) => void (state.swallow || to.write(bytes)));
      from.on('error', () => to.destroy());
      from.on('close', () => void (state.swallow || to.destroy()));
    }
  });
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  state.url = `wss://127.0.0.1:${(server.address() as AddressInfo).port}/control`;
  return state;
}

/** A peer whose messages the test writes. */
async function rawSocket(t: TestContext, url: string): Promise<WebSocket> {
  const socket = new WebSocket(url, { ca: certificates.ca });
  t.after(() => socket.terminate());
  await once(socket, 'open');
  return socket;
}

async function closeOf(socket: WebSocket): Promise<string> {
  const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
  return `${code} ${reason}`;
}

const helloOf = (token: string): string => JSON.stringify({ v: 1, id: 0, hello: { token } });

test('a proxy receives its name, the state and each change, and counts for its key', async (t) => {
  const { connect, port, sessions, log } = await createWorld(t);
  const session = connect();
  const seen = watched(session);
  assert.equal(await session.instance, 'pod-1');
  await until('the first state came', () => seen.length === 1);
  port.push(snapshot(2));
  await until('both states came', () => seen.join() === '1,2');
  assert.deepEqual(session.state(), { kind: 'connected' });
  assert.deepEqual([...sessions.activeByKey([])], [[bot, 1]]);
  assert.deepEqual([...sessions.instances()], ['pod-1']);
  session.close();
  await until('the session ended', () => sessions.count() === 0);
  assert.deepEqual(log, ['opened pod-1', 'closed left']);
  assert.equal(port.watchers, 0);
});

test('a gateway counts for each key that gateways serve, next to the sidecars of that key', async (t) => {
  const { connect, outcomes, sessions } = await createWorld(t);
  for (const instance of ['gateway-1', 'gateway-2']) outcomes.set(instance, { kind: 'gateway', instance });
  const proxies = ['token-1', 'gateway-1', 'gateway-2'].map((token) => connect({ readToken: async () => token }));
  await Promise.all(proxies.map(({ instance }) => instance));
  const other = keyName('agents', 'other');
  assert.deepEqual(
    [...sessions.activeByKey([bot, other])],
    [
      [bot, 3],
      [other, 2],
    ],
  );
  assert.deepEqual([...sessions.activeByKey([])], [[bot, 1]]);
});

test('after a restart of the operator the session continues, and every watch receives the whole state again', async (t) => {
  const world = await createWorld(t);
  const session = world.connect();
  const seen = watched(session);
  await until('the first state came', () => seen.length === 1);
  await world.crash();
  await until('the loss was seen', () => session.state().kind === 'connecting');
  await assert.rejects(session.children(bot), { name: 'ControlUnavailable', message: /the operator is unreachable: / });
  assert.deepEqual(seen, ['1']);
  const next = await startReplica({ certificates, attestor: scripted(world.outcomes), host: world.host, port: portOf(world.url) });
  t.after(() => next.close());
  await until('the state came again', () => seen.length === 2);
  assert.deepEqual(await session.children(bot), []);
});

test('a replica that shuts down says so, and its proxies connect to another', async (t) => {
  const [one, two] = [await createWorld(t), await createWorld(t)];
  let target = portOf(one.url);
  const service = await relay(t, () => target);
  const session = connectTo(t, service.url);
  const seen = watched(session);
  await until('the first serves', () => one.sessions.count() === 1 && seen.length === 1);
  target = portOf(two.url);
  two.port.push(snapshot(9));
  await one.close();
  await until('the second serves', () => two.sessions.count() === 1);
  await until('its state came', () => seen.join() === '1,9');
});

/** Timings with which a dead connection is noticed. */
const short = { beatMs: 50, silenceMs: 250 };

test('both sides close a silent connection', async (t) => {
  const world = await createWorld(t, { timings: short });
  const line = await relay(t, () => portOf(world.url));
  const session = connectTo(t, line.url, { timings: { ...short, firstRetryMs: 5_000, longestRetryMs: 5_000 } });
  await session.instance;
  line.swallow = true;
  const started = performance.now();
  await until('the proxy gave up', () => session.state().kind === 'connecting');
  await until('the operator gave up', () => world.sessions.count() === 0);
  assert.ok(performance.now() - started >= short.silenceMs - short.beatMs);
  assert.ok(performance.now() - session.lastContact() >= short.silenceMs - short.beatMs);
});

test('heartbeats keep a session that has nothing to say', async (t) => {
  const timings = { beatMs: 50, silenceMs: 1_500 };
  const { connect, sessions, log } = await createWorld(t, { timings });
  const session = connect({ timings });
  await session.instance;
  await sleep(timings.silenceMs * 1.5);
  assert.ok(performance.now() - session.lastContact() < timings.silenceMs);
  assert.deepEqual([sessions.count(), log.length], [1, 1]);
});

test('a refused proxy learns the reason, and retries', async (t) => {
  const { connect, outcomes, log } = await createWorld(t);
  outcomes.set('token-1', unready);
  const session = connect();
  await until('the proxy was refused temporarily', () => log.includes('refused pod_unready'));
  await until('it says why', () => JSON.stringify(session.state()) === JSON.stringify({ kind: 'connecting', reason: unready.message }));
  outcomes.set('token-1', gone);
  await until('it was refused', () => session.state().kind === 'refused');
  await assert.rejects(session.account(bot), (error: Error) => error instanceof ControlUnavailable && error.message.includes(gone.message));
  outcomes.set('token-1', sidecar('pod-1'));
  assert.equal(await session.instance, 'pod-1');
});

test('a Pod that drifts loses its session and its grants at once, and the log names the provider keys to rotate', async (t) => {
  const world = await createWorld(t);
  const session = world.connect();
  const seen = watched(session);
  await until('the state came', () => seen.length === 1);
  world.outcomes.set('token-1', drifted);
  world.sessions.podChanged({ metadata: { name: 'agent-1', uid: 'pod-1' } });
  await until('nothing is served', () => seen.at(-1) === 'none');
  assert.deepEqual(world.drifts, [{ scope: sidecar('pod-1'), message: drifted.message, credentials: ['platform/openai a'] }]);
  await until('it says why', () => JSON.stringify(session.state()).includes('/spec/hostPID'));
  world.outcomes.set('token-1', sidecar('pod-1'));
  await until('it is served again', () => seen.join() === '1,none,1');
});

test('a Pod that is not as injected when its proxy says hello is counted, and the log names it and where it differs', async (t) => {
  const lines: string[] = [];
  const logger = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) });
  const { connect, outcomes, log } = await createWorld(t, { logger });
  outcomes.set('token-1', drifted);
  const session = connect();
  await until('it was refused', () => session.state().kind === 'refused');
  assert.equal(log[0], 'refused pod_drifted');
  assert.match(lines[0] ?? '', /Pod agents\/agent-1 differs from what was injected: \/spec\/hostPID/);
});

test('a Pod with an irrelevant change keeps its session; one with another key sends a new hello', async (t) => {
  const { connect, outcomes, sessions, log } = await createWorld(t);
  await connect().instance;
  const changed = { metadata: { name: 'agent-1', uid: 'pod-1' } };
  sessions.podChanged(changed);
  outcomes.set('token-1', unready);
  sessions.podChanged(changed);
  assert.deepEqual(log, ['opened pod-1']);
  outcomes.set('token-1', sidecar('pod-1', 'agents/other'));
  sessions.podChanged(changed);
  await until('it serves the other key', () => sessions.activeByKey([]).has(keyName('agents', 'other')));
  assert.deepEqual(log, ['opened pod-1', 'closed renew', 'opened pod-1']);
});

test('a session that was ended serves nothing more, even to a proxy that does not hang up', async (t) => {
  let served = 0;
  const counting: ControlPort = {
    ...fakePort(),
    async children() {
      served += 1;
      return [];
    },
  };
  const { url, outcomes, sessions } = await createWorld(t, { host: hostOf(counting) });
  const socket = await rawSocket(t, url);
  const call = JSON.stringify({ v: 1, id: 1, call: 'children', args: ['agents/bot'] });
  socket.send(helloOf('token-1'));
  await once(socket, 'message');
  socket.send(call);
  await until('the call was served', () => served === 1);
  socket.pause();
  outcomes.set('token-1', drifted);
  sessions.podChanged({ metadata: { name: 'agent-1', uid: 'pod-1' } });
  socket.send(call);
  await sleep(50);
  assert.equal(served, 1);
  socket.terminate();
});

test('a change of a Pod during its attestation is seen by a second attestation', async (t) => {
  const attested = [sidecar('pod-1'), drifted];
  const attestor: Attestor = { attest: async () => attested.shift() ?? drifted, judge: () => drifted };
  const world = await createWorld(t, { attestor });
  await world.connect().instance;
  await until('its session ended', () => world.log.includes('closed refused'));
  assert.equal(world.drifts.length, 1);
});

test('when a Pod has ended its session ends and what it held is retired, session or not', async (t) => {
  const { connect, outcomes, sessions, host } = await createWorld(t);
  const session = connect();
  await session.instance;
  outcomes.set('token-1', gone);
  sessions.podGone('pod-1');
  await until('the proxy knows', () => session.state().kind === 'refused');
  sessions.podChanged({ metadata: { name: 'job-1', uid: 'pod-2' }, status: { phase: 'Succeeded' } });
  assert.deepEqual(host.retired, ['pod-1', 'pod-2']);
});

test('a later session of the same proxy replaces the earlier one', async (t) => {
  const { url, sessions, log } = await createWorld(t);
  const [first, second] = [await rawSocket(t, url), await rawSocket(t, url)];
  first.send(helloOf('token-1'));
  await until('the first is served', () => sessions.count() === 1);
  second.send(helloOf('token-1'));
  assert.match(await closeOf(first), /^4409 /);
  assert.deepEqual([sessions.count(), log], [1, ['opened pod-1', 'opened pod-1', 'closed replaced']]);
});

test('the proxy sends a new token before the old one expires, and an invalid one ends the session', async (t) => {
  const { connect, outcomes, log } = await createWorld(t, { timings: { attestMs: 50, unattestedMs: 1_000 } });
  let token = 'token-1';
  const session = connect({ readToken: async () => token, timings: { renewMs: 40 } });
  await session.instance;
  outcomes.set('token-2', sidecar('pod-1'));
  token = 'token-2';
  // With only the first token, the session would end at its unattested limit.
  outcomes.set('token-1', away);
  await sleep(1_500);
  assert.equal(session.state().kind, 'connected');
  outcomes.set('token-2', gone);
  await until('the session ended', () => log.includes('closed gone'));
});

test('the operator attests again on its own timer; while the API server is unreachable the session continues, for a limited time', async (t) => {
  const world = await createWorld(t, { timings: { attestMs: 60, unattestedMs: 2_000 } });
  const session = world.connect();
  await session.instance;
  world.outcomes.set('token-1', away);
  await sleep(200);
  assert.deepEqual(world.log, ['opened pod-1']);
  await until('it ended', () => world.log.includes('closed unready'));
  assert.notEqual(session.state().kind, 'refused');
});

test('a proxy that does not read is disconnected, and the others receive changes meanwhile', async (t) => {
  const world = await createWorld(t, { bounds: { unsentBytes: 1_000_000 } });
  world.outcomes.set('token-2', sidecar('pod-2'));
  const slow = await rawSocket(t, world.url);
  slow.send(helloOf('token-2'));
  await once(slow, 'message');
  slow.send(JSON.stringify({ v: 1, id: 1, call: 'watch', args: [] }));
  await once(slow, 'message');
  slow.pause();
  const seen = watched(world.connect());
  await until('the other receives the change', () => seen.length === 1);
  for (let revision = 2; revision < 40; revision += 1) {
    world.port.push(snapshot(revision, 500_000));
    await sleep(5);
  }
  await until('the slow one is cut off', () => world.sessions.count() === 1);
  await until('the other has it all', () => seen.at(-1) === '39');
});

test('messages that come too fast are read more slowly, and each is answered', async (t) => {
  const world = await createWorld(t, { bounds: { messagesPerSecond: 100 } });
  const session = world.connect();
  await session.instance;
  const started = performance.now();
  const replies = await Promise.all(Array.from({ length: 240 }, () => session.children(bot)));
  assert.equal(replies.length, 240);
  assert.deepEqual(await session.children(bot), []);
  // 200 may arrive at once; the excess must wait before the next is read.
  assert.ok(performance.now() - started > 390);
});

test('without a hello nothing is served', async (t) => {
  const { url, log } = await createWorld(t, { timings: { helloMs: 2_000 } });
  const silentOne = await rawSocket(t, url);
  assert.match(await closeOf(silentOne), /^4408 /);
  for (const first of [
    JSON.stringify({ v: 1, id: 1, call: 'watch', args: [] }),
    'x',
    JSON.stringify({ v: 2, id: 0, hello: { token: 'token-1' } }),
  ]) {
    const socket = await rawSocket(t, url);
    socket.send(first);
    assert.match(await closeOf(socket), /^4400 /);
  }
  const stranger = await rawSocket(t, url);
  stranger.send(helloOf('whatever'));
  const [reply] = await once(stranger, 'message');
  assert.deepEqual(JSON.parse(String(reply)), { id: 0, error: 'unknown token', code: 'refused' });
  assert.match(await closeOf(stranger), /^4403 token_invalid$/);
  assert.deepEqual(log, ['refused token_invalid']);
});

test('a message over the limit, and a frame that cannot be read, end the connection', async (t) => {
  const { url } = await createWorld(t);
  const large = await rawSocket(t, url);
  large.send(helloText(0, 'token-1'));
  await once(large, 'message');
  large.send(Buffer.alloc(5 * 1_048_576));
  assert.match(await closeOf(large), /^1009 /);
  const torn = await rawSocket(t, url);
  torn.send(Buffer.from([0, 0, 1]));
  assert.match(await closeOf(torn), /^1007 /);
});

test('another path is not found, and unattested connections beyond the bound are turned away', async (t) => {
  const { url, connect } = await createWorld(t, { bounds: { unattested: 1 } });
  const unexpected = async (to: string): Promise<string> => {
    const socket = new WebSocket(to, { ca: certificates.ca });
    const [error] = (await once(socket, 'error')) as [Error];
    return error.message;
  };
  assert.match(await unexpected(url.replace('/control', '/other')), /404/);
  const first = await rawSocket(t, url);
  assert.match(await unexpected(url), /503/);
  first.close();
  assert.equal(await connect().instance, 'pod-1');
});

test('unattested connections of one address have a bound of their own, which an attested proxy does not count against', async (t) => {
  const { url, connect } = await createWorld(t, { bounds: { unattestedPerAddress: 1 } });
  assert.equal(await connect().instance, 'pod-1');
  const first = await rawSocket(t, url);
  const second = new WebSocket(url, { ca: certificates.ca });
  assert.match(String((await once(second, 'error'))[0]), /503/);
  first.close();
  await once(first, 'close');
  await rawSocket(t, url);
});

test('half of a large message on an unattested connection is not kept: the connection ends', async (t) => {
  const { url } = await createWorld(t);
  const stranger = await rawSocket(t, url);
  stranger.on('error', () => {});
  stranger.send('x'.repeat(100_000), { fin: false });
  assert.match(await closeOf(stranger), /^1006 /);
});

test('connections that are being attested do not keep sessions from being attested again', async (t) => {
  const attested: string[] = [];
  const attestor: Attestor = {
    attest(token) {
      attested.push(token);
      return token === 'token-1' ? Promise.resolve(sidecar('pod-1')) : new Promise(() => {});
    },
    judge: () => unready,
  };
  const { url } = await createWorld(t, { attestor, bounds: { attestations: 1 }, timings: { attestMs: 10_000 } });
  const known = await rawSocket(t, url);
  known.send(helloOf('token-1'));
  await once(known, 'message');
  (await rawSocket(t, url)).send(helloOf('token-2'));
  await until('the new connection is attested', () => attested.includes('token-2'));
  const before = attested.filter((token) => token === 'token-1').length;
  known.send(helloOf('token-1'));
  await until('the session is attested again', () => attested.filter((token) => token === 'token-1').length > before);
});

test('too many attestations at once are refused temporarily, not queued', async (t) => {
  const slow = Promise.withResolvers<AttestedScope>();
  let attested = 0;
  const attestor: Attestor = {
    attest() {
      attested += 1;
      return slow.promise;
    },
    judge: () => unready,
  };
  const { url } = await createWorld(t, { attestor, bounds: { attestations: 1 } });
  const [first, second] = [await rawSocket(t, url), await rawSocket(t, url)];
  first.send(helloOf('token-1'));
  await until('the first is attested', () => attested === 1);
  second.send(helloOf('token-1'));
  assert.match(await closeOf(second), /^4503 /);
  slow.resolve(sidecar('pod-1'));
  const [welcome] = await once(first, 'message');
  assert.deepEqual(JSON.parse(String(welcome)), { id: 0, reply: { instance: 'pod-1' } });
});

test('a watch that the operator could not open is tried again with the next connection', async (t) => {
  const port = fakePort();
  let failures = 1;
  const failing: ControlPort = {
    ...port,
    watch(listener) {
      failures -= 1;
      if (failures >= 0) throw new Error('no store');
      return port.watch(listener);
    },
  };
  const world = await createWorld(t, { host: hostOf(failing) });
  const seen = watched(world.connect());
  await until('the state came', () => seen.length === 1);
  assert.deepEqual(world.log, ['opened pod-1', 'closed left', 'opened pod-1']);
});

test('a proxy refuses an operator under another root', async (t) => {
  const world = await createWorld(t);
  const other = await makeCertificates();
  const shown: string[] = [];
  const session = world.connect({
    ca: other.ca,
    readToken: async () => {
      shown.push('read');
      return 'token-1';
    },
  });
  await until('it tried twice', () => shown.length > 1);
  assert.deepEqual(world.log, []);
  assert.match(JSON.stringify(session.state()), /signature|certificate|verify/i);
});

test('a missing token file is named, and re-read', async (t) => {
  const world = await createWorld(t);
  let there = false;
  const session = world.connect({
    readToken: async () => {
      if (!there) throw Object.assign(new Error('x'), { code: 'ENOENT' });
      return 'token-1';
    },
  });
  await until('it says so', () => JSON.stringify(session.state()).includes('ENOENT'));
  there = true;
  assert.equal(await session.instance, 'pod-1');
});

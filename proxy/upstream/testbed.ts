import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { defined } from '../../core/json.ts';
import type { PoolTimeouts } from '../../core/manifest/types.ts';
import { keyName, poolName } from '../../core/names.ts';
import type { PoolDocument } from '../../core/policy/documents.ts';
import { createPools, type Pools } from '../credentials/pool.ts';
import { meterLarge } from '../dialect/meter.ts';
import { openaiChat } from '../dialect/openai/chat.ts';
import type { StreamMeter } from '../dialect/types.ts';
import { openAi } from '../provider/openai.ts';
import { Opinions } from './opinions.ts';
import { createOrigins, defaultUpstreamSettings, type UpstreamSettings } from './origins.ts';
import type { Flight, FlowingBody, Meters, UpstreamAnswer, UpstreamCall } from './types.ts';
import { callUpstream } from './upstream.ts';

/** Replaces real credentials: it must not appear in any output of the upstream stage. */
export const canary = 'sk-canary-0123456789';

const pool = poolName('platform', 'openai');

export interface Testbed {
  readonly pools: Pools;
  readonly clock: { nowMs: number };
  /** Credentials in the order in which the provider saw them. */
  readonly seen: string[];
  readonly requests: IncomingMessage[];
  /** Credentials about which the proxy asked, in this order. */
  readonly probes: string[];
  call(more?: Partial<UpstreamCall>): Flight;
}

interface Plan {
  /** Key name → quota scope. */
  readonly keys?: Readonly<Record<string, string>>;
  readonly settings?: Partial<UpstreamSettings>;
  readonly timeouts?: PoolTimeouts;
  readonly maxConnections?: number;
  /** A path below the server's origin, or a whole URL. */
  readonly endpoint?: string;
}

/** A provider on the loopback, a pool whose keys are worth `<canary>-<name>`, and the stage between them. */
export async function testbed(
  context: TestContext,
  provider: (key: string, response: ServerResponse, request: IncomingMessage) => void,
  plan: Plan = {},
): Promise<Testbed> {
  const seen: string[] = [];
  const requests: IncomingMessage[] = [];
  const probes: string[] = [];
  const origin = await serve(context, (request, response) => {
    const key = (request.headers.authorization ?? '').replace(`Bearer ${canary}-`, '');
    request.resume().on('end', () => {
      if (request.method === 'GET') probes.push(key);
      else {
        seen.push(key);
        requests.push(request);
      }
      provider(key, response, request);
    });
  });
  const keys = Object.entries(plan.keys ?? { a: 'scope-a' }).map(([name, quotaScope]) => ({ name, quotaScope }));
  const endpoint = plan.endpoint?.startsWith('http') === true ? plan.endpoint : origin + (plan.endpoint ?? '');
  const document: PoolDocument = {
    pool,
    provider: 'OpenAI',
    endpoint,
    keys,
    models: [],
    book: [],
    freeFields: [],
    ...defined({ timeouts: plan.timeouts, maxConnections: plan.maxConnections }),
    learned: {},
    priceBookDigest: 'sha256:0',
  };
  const clock = { nowMs: Date.UTC(2026, 0, 1) };
  const settings = { ...defaultUpstreamSettings, ...plan.settings };
  const origins = createOrigins(settings, () => performance.now());
  context.after(() => origins.close());
  const pools = createPools({ clock: () => clock.nowMs });
  pools.update(
    [document],
    keys.map(({ name }) => ({ pool, name, value: `${canary}-${name}\n` })),
  );
  const opinions = new Opinions({ origins, settings, clock: () => clock.nowMs });
  const deps = { origins, pools, settings, opinions, clock: () => clock.nowMs };
  const call = (more: Partial<UpstreamCall> = {}): Flight =>
    callUpstream(deps, {
      key: keyName('agents', 'bot'),
      sharers: [keyName('agents', 'bot')],
      provider: openAi,
      pool: document,
      path: '/v1/chat/completions',
      query: '',
      headers: ['content-type', 'application/json'],
      body: Buffer.from('{"model":"m"}'),
      model: 'm',
      meters: { ...lineMeters, stream: () => null },
      ...more,
    });
  return { pools, clock, seen, requests, probes, call };
}

/** Starts a loopback server for one test; returns its origin. */
export function serve(context: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
  });
}

/** Answers with JSON. */
export function json(response: ServerResponse, status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(value));
}

/** OpenAI's 429. */
export function limited(response: ServerResponse, retryAfter: string): void {
  json(
    response,
    429,
    { error: { message: 'Rate limit reached', type: 'tokens', code: 'rate_limit_exceeded' } },
    { 'retry-after': retryAfter },
  );
}

/** Narrows to an answer of one kind; otherwise throws with the whole answer. */
export async function expectKind<K extends UpstreamAnswer['kind']>(flight: Flight, kind: K): Promise<Extract<UpstreamAnswer, { kind: K }>> {
  const answer = await flight.answer;
  if (answer.kind !== kind) throw new Error(`expected ${kind}, got ${JSON.stringify(answer)}`);
  return answer as Extract<UpstreamAnswer, { kind: K }>;
}

/** The body as one text, and how it ended. */
export async function drain(body: FlowingBody): Promise<{ text: string; end: string }> {
  const chunks: Buffer[] = [];
  const end = await body.pipe((chunk) => chunks.push(chunk) > 0);
  return { text: Buffer.concat(chunks).toString(), end };
}

/** Meters of a stream of lines, and of large chat completions. */
export const lineMeters: Meters = { stream: lineMeter, large: () => meterLarge(openaiChat.readUsage), whole: openaiChat.readUsage };

/** Knows three kinds of line: `ping`, `error {json}`, and content. */
export function lineMeter(): StreamMeter {
  let phase: StreamMeter['phase'] = 'preamble';
  let errorBody: string | undefined;
  return {
    framing: 'sse',
    push(chunk) {
      for (const line of chunk.toString().split('\n')) {
        if (phase !== 'preamble' || line === '' || line === 'ping') continue;
        phase = line.startsWith('error ') ? 'error' : 'content';
        if (phase === 'error') errorBody = line.slice(6);
      }
      return [chunk];
    },
    flush: () => [Buffer.from('flushed\n')],
    get phase() {
      return phase;
    },
    get errorBody() {
      return errorBody;
    },
    complete: true,
    ended: true,
    countOutput: () => {},
    outputTokens: null,
    reading: () => ({ usage: null }),
  };
}

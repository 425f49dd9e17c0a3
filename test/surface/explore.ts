import assert from 'node:assert/strict';
import { request } from 'node:http';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { credentialValue, eventually, startWorld, type World } from '../harness.ts';
import { keyManifest, poolManifest } from '../manifests.ts';
import { type WireRequest, wireRequest } from './requests.ts';
import { type PlayedUpstream, startPlayedUpstream, type WireAnswer, wireAnswer } from './upstream.ts';

const secret = credentialValue('openai');
const families = { openai: 'OpenAI', anthropic: 'Anthropic', gemini: 'Gemini' } as const;
/** One credential in every pool, so that each answer can try to give it back. */
const secretItem = { name: 'openai', key: 'main' };
/** A call that has no answer by then hangs: the longest a call may wait here is for money, and there is enough. */
const hangMs = 30_000;

interface Answer {
  readonly status: number;
  /** All that the client could read: the head, and the body unpacked. */
  readonly text: string;
  readonly requestId: string | undefined;
}

/** What was found: so many requests, of which so many reached the provider. */
export interface Explored {
  readonly requests: number;
  readonly reached: number;
  readonly measured: number;
}

/** Sends requests near what clients send, to a provider that answers near what providers answer, until the time is over. Throws on the first fault. */
export async function explore({ ms, seed }: { readonly ms: number; readonly seed: number }): Promise<Explored> {
  await using upstream = await startPlayedUpstream();
  const found = { requests: 0, reached: 0, measured: 0 };
  const endAt = performance.now() + ms;
  let stage = await openStage(upstream);
  const ask = async (sent: WireRequest, played: WireAnswer): Promise<void> => {
    const answer = await stage.ask(sent, played);
    found.requests += 1;
    if (upstream.seen.length > 0) found.reached += 1;
    // Some answers put the one credential aside for minutes.
    if (!/provider_(unauthorized|limited)/i.test(answer.text) || upstream.seen.length > 0) return;
    found.measured += await stage.compareBills();
    await stage[Symbol.asyncDispose]();
    stage = await openStage(upstream);
  };
  try {
    // In rounds: a limit of time would end a run in the middle of a call.
    for (let round = 0; performance.now() < endAt; round += 1)
      await fc.assert(fc.asyncProperty(wireRequest, wireAnswer(secret), ask), { seed: seed + round, numRuns: 100, endOnFailure: true });
    found.measured += await stage.compareBills();
  } finally {
    await stage[Symbol.asyncDispose]();
  }
  return found;
}

interface Stage extends AsyncDisposable {
  ask(sent: WireRequest, played: WireAnswer): Promise<Answer>;
  /** Returns how many bills were compared. */
  compareBills(): Promise<number>;
}

/** KeyForge in front of the provider, until a credential is put aside. */
async function openStage(upstream: PlayedUpstream): Promise<Stage> {
  const world = await startWorld({
    pools: () => pools(upstream.url),
    keys: { 'bot.yaml': keyManifest('bot', { limits: [{ window: 'Day', usd: '100000.00' }] }) },
  });
  const certain = new Map<string, NonNullable<WireAnswer['billed']>>();
  return {
    async ask(sent, played) {
      upstream.play(played);
      const answer = await send(world, sent);
      try {
        judge(world, upstream, answer);
      } catch (error) {
        throw new Error(`${describe(sent, played, upstream)}\n${(error as Error).message}`, { cause: error });
      }
      if (played.billed !== undefined && answer.status === 200 && upstream.seen.length === 1 && answer.requestId !== undefined)
        certain.set(answer.requestId, played.billed);
      return answer;
    },
    compareBills: () => compareBills(world, certain),
    [Symbol.asyncDispose]: () => world.close(),
  };
}

function describe({ method, path, headers, body }: WireRequest, played: WireAnswer, { seen: [call] }: PlayedUpstream): string {
  const request = `${method} ${path} ${JSON.stringify(headers)}\n${body.toString('latin1')}`;
  if (call === undefined) return `${request}\ndid not reach the provider`;
  const answer = played.render(call);
  const text = Buffer.concat(answer.pieces).toString('latin1').slice(0, 2000);
  return `${request}\nanswered ${played.status} ${JSON.stringify(answer.headers)}, ${played.end}:\n${text}`;
}

function pools(url: string): string {
  return Object.entries(families)
    .map(([name, provider]) =>
      poolManifest({ name, provider, endpoint: url }).replace(
        `secretRef: {name: ${name}, key: main}`,
        `secretRef: {name: ${secretItem.name}, key: ${secretItem.key}}`,
      ),
    )
    .join('---\n');
}

function send(world: World, { method, path, headers, body, chunked }: WireRequest): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const length: Record<string, string> = chunked ? { 'transfer-encoding': 'chunked' } : { 'content-length': String(body.length) };
    const options = { method, path, agent: false, headers: { ...headers, ...length, authorization: `Bearer ${world.token}` } };
    const outgoing = request(world.proxyUrl, options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', () => {});
      response.on('close', () => {
        clearTimeout(timer);
        const id = response.headers['x-keyforge-request-id'];
        const text = `${JSON.stringify(response.headers)}\n${unpacked(Buffer.concat(chunks), response.headers['content-encoding'])}`;
        resolve({ status: response.statusCode ?? 0, text, requestId: typeof id === 'string' ? id : undefined });
      });
    });
    const timer = setTimeout(() => reject(new Error(`no answer to ${method} ${path} within ${hangMs} ms`)), hangMs);
    outgoing.on('error', () => {
      clearTimeout(timer);
      resolve({ status: 0, text: '', requestId: undefined });
    });
    outgoing.end(body);
  });
}

function unpacked(bytes: Buffer, encoding: string | undefined): string {
  if (encoding !== 'gzip') return bytes.toString('latin1');
  try {
    return gunzipSync(bytes).toString('latin1');
  } catch {
    return bytes.toString('latin1');
  }
}

function judge(world: World, upstream: PlayedUpstream, { status, text }: Answer): void {
  const defect = /^.*a request failed because of a defect.*$/m.exec(world.log.text());
  assert.ok(defect === null && !text.includes('internal_error'), `${status} ${text.slice(0, 500)}\n${defect?.[0]}`);
  const plain = text.replaceAll(/\\u([0-9a-f]{4})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  for (const form of [secret, Buffer.from(secret).toString('base64')])
    assert.ok(!text.includes(form) && !plain.includes(form), `the credential came back: ${text.slice(0, 500)}`);
  for (const call of upstream.seen) {
    const given = [call.headers.authorization, call.headers['x-api-key'], call.headers['x-goog-api-key']].filter(
      (value) => value !== undefined,
    );
    assert.deepEqual(
      given.map((value) => String(value).replace('Bearer ', '')),
      [secret],
    );
    assert.ok(!JSON.stringify(call.headers).includes(world.token) && !call.body.includes(world.token));
    assert.equal(call.headers['content-encoding'], undefined);
  }
}

/** Compares what was charged with what was billed, where that is certain; then nothing is in flight, and the chain is intact. */
async function compareBills(world: World, certain: ReadonlyMap<string, NonNullable<WireAnswer['billed']>>): Promise<number> {
  const metrics = async (): Promise<string> => (await fetch(`${world.standalone.metricsUrl}/metrics`)).text();
  await eventually(async () => (/^keyforge_requests_in_flight 0$/m.test(await metrics()) ? true : undefined), 'the end of all calls');
  let measured = 0;
  for (const { requestId, usage, estimated, code } of await world.records(certain.size)) {
    const billed = certain.get(requestId);
    if (billed === undefined || usage === undefined || estimated || code !== 'ok') continue;
    assert.deepEqual([usage.input, usage.output], [billed.input, billed.output], requestId);
    measured += 1;
  }
  return measured;
}

if (import.meta.main) {
  const minutes = Number(process.argv[2] ?? 60);
  const seed = Number(process.argv[3] ?? Date.now() % 2 ** 31);
  console.log(`${minutes} minutes from seed ${seed}`);
  console.log(await explore({ ms: minutes * 60_000, seed }));
  process.exit(0);
}

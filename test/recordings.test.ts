import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { CallBody, EntryUsage } from '../core/audit/types.ts';
import { eventually, startWorld, type World } from './harness.ts';
import { poolManifest } from './manifests.ts';
import { type Exchange, type Replay, readExchanges, startReplay, wireBody } from './replay.ts';

const exchanges = readExchanges(['openai', 'anthropic', 'google']);
const skip = exchanges === null ? 'the recordings are not beside the repository (../shared/recordings)' : false;
if (skip !== false) console.log(`SKIPPED: ${skip}`);

const apis: Readonly<Record<string, string>> = {
  'chat.completions': '/v1/chat/completions',
  responses: '/v1/responses',
  embeddings: '/v1/embeddings',
  messages: '/v1/messages',
};
const provider = { openai: 'OpenAI', anthropic: 'Anthropic', google: 'Gemini' } as const;

/** Recorded successes of the three native dialects. */
const replayed = (exchanges ?? []).filter(
  ({ provenance, vendor, api, response, request }) =>
    provenance === 'recorded' &&
    response.status === 200 &&
    vendor in provider &&
    !JSON.stringify(response.sse ?? '').includes('insufficient_quota') &&
    (api in apis || api === 'generateContent' || api === 'streamGenerateContent') &&
    !(vendor === 'google' && api in apis) &&
    (request === null || !request.host.includes('aiplatform')),
);

let replay: Replay;
let world: World;

before(async () => {
  if (skip !== false) return;
  replay = await startReplay();
  const names = ['openai', 'anthropic', 'google'] as const;
  const pools = names.map((vendor) => ({
    vendor,
    models: [...new Set(replayed.filter((each) => each.vendor === vendor).map((each) => modelOf(each)))],
  }));
  world = await startWorld({
    pools: () =>
      pools
        .map(({ vendor, models }) =>
          poolManifest({
            name: vendor === 'google' ? 'gemini' : vendor,
            provider: provider[vendor],
            endpoint: replay.url,
            models: models.map((name) => ({ name, family: 'openai', price: { input: 1_000_000n, output: 1_000_000n } })),
          }),
        )
        .join('---\n'),
    keys: {
      'bot.yaml': JSON.stringify({
        apiVersion: 'keyforge.dev/v1alpha1',
        kind: 'VirtualKey',
        metadata: { name: 'bot', namespace: 'agents' },
        spec: { pools: names.map((vendor) => ({ name: vendor === 'google' ? 'gemini' : vendor, namespace: 'keyforge-system' })) },
      }),
    },
  });
});
after(async () => {
  if (skip !== false) return;
  await world.close();
  await replay.close();
});

function modelOf({ request, model }: Exchange): string {
  const fromPath = /models\/([^:/]+):/.exec(request?.path ?? '')?.[1];
  return decodeURIComponent(fromPath ?? String(request?.body['model'] ?? model));
}

/** The request that was recorded, or one that could have had this answer. Streams ask for usage, so that every byte is the caller's. */
function requestOf(exchange: Exchange): { readonly path: string; readonly body: Readonly<Record<string, unknown>> } {
  const { api, request, stream } = exchange;
  if (api.endsWith('enerateContent')) {
    const path = request?.path ?? `/v1beta/models/${modelOf(exchange)}:${api}${stream ? '?alt=sse' : ''}`;
    return { path, body: request?.body ?? { contents: [{ role: 'user', parts: [{ text: 'Hello' }] }] } };
  }
  const synthetic = { model: modelOf(exchange), stream, max_tokens: 1000, messages: [{ role: 'user', content: 'Hello' }], input: 'Hello' };
  const body = request?.body ?? synthetic;
  return {
    path: apis[api] ?? '',
    body: api === 'chat.completions' && stream ? { ...body, stream_options: { include_usage: true } } : body,
  };
}

async function exchangeOnce(
  exchange: Exchange,
  chunkBytes: (left: number) => number,
): Promise<{ readonly id: string; readonly bytes: Buffer; readonly status: number }> {
  replay.serve(exchange, chunkBytes);
  const { path, body } = requestOf(exchange);
  const response = await world.post(path, body, { headers: { 'anthropic-version': '2023-06-01' } });
  const bytes = Buffer.from(await response.arrayBuffer());
  return { id: response.headers.get('x-keyforge-request-id') ?? '', bytes, status: response.status };
}

test('every recorded answer comes through byte for byte, and is settled at the usage that it names', { skip }, async (context) => {
  const expected = new Map<string, Exchange>();
  const refused: string[] = [];
  for (const [index, exchange] of replayed.entries()) {
    const { id, bytes, status } = await exchangeOnce(exchange, (left) => (index % 3 === 0 ? left : 1 + ((left * 7919 + index) % 700)));
    if (status !== 200) {
      refused.push(`${exchange.id}: ${bytes.toString().slice(0, 300)}`);
      continue;
    }
    const wire = wireBody(exchange);
    assert.ok(bytes.equals(wire), `${exchange.id}: ${firstDifference(bytes, wire)}`);
    expected.set(id, exchange);
  }
  const records = await eventually(async () => {
    const found = new Map((await world.records(expected.size)).map((record) => [record.requestId, record]));
    return [...expected.keys()].every((id) => found.has(id)) ? found : undefined;
  }, 'the record of each answer');
  let named = 0;
  for (const [id, exchange] of expected) {
    const record = records.get(id);
    assert.ok(record !== undefined, `${exchange.id} has no record`);
    named += checkUsage(exchange, record);
  }
  // A tool with a model of its own would be a way around the allowed models.
  assert.deepEqual(
    refused.filter((text) => !/advisor_\d+ names a model of its own|no background responses/.test(text)),
    [],
  );
  context.diagnostic(`${replayed.length} exchanges, ${named} with usage`);
  assert.ok(named > 200);
});

test('a stream means the same in every chunking, down to single bytes', { skip }, async () => {
  const streams = ['openai', 'anthropic', 'google'].flatMap((vendor) =>
    replayed.filter((each) => each.vendor === vendor && each.response.sse !== undefined && wireBody(each).length < 6000).slice(0, 3),
  );
  for (const exchange of streams) {
    for (const size of [1, 2, 3, 5, 64]) {
      const { bytes } = await exchangeOnce(exchange, () => size);
      assert.ok(bytes.equals(wireBody(exchange)), `${exchange.id} in chunks of ${size}`);
    }
  }
});

function firstDifference(a: Buffer, b: Buffer): string {
  const at = [...a].findIndex((byte, index) => byte !== b[index]);
  const from = Math.max(0, (at < 0 ? Math.min(a.length, b.length) : at) - 60);
  return `${a.length} bytes for ${b.length}; got …${a.subarray(from, from + 160)}…, want …${b.subarray(from, from + 160)}…`;
}

function number(value: unknown, ...path: readonly string[]): number {
  let at = value;
  for (const step of path) at = typeof at === 'object' && at !== null ? (at as Record<string, unknown>)[step] : undefined;
  return typeof at === 'number' ? at : 0;
}

/** What the provider's own usage object means in disjoint classes, by the rules of its documentation. */
function usageOf({ vendor, api, usage, usage_start: start }: Exchange): EntryUsage {
  if (vendor === 'anthropic') {
    const all = { ...start, ...Object.fromEntries(Object.entries(usage ?? {}).filter(([, value]) => value !== null)) };
    return {
      input: number(all, 'input_tokens'),
      cachedInput: number(all, 'cache_read_input_tokens'),
      cacheWrite: number(all, 'cache_creation_input_tokens'),
      output: number(all, 'output_tokens'),
      reasoning: number(all, 'output_tokens_details', 'thinking_tokens'),
    };
  }
  if (vendor === 'google') {
    const cached = number(usage, 'cachedContentTokenCount');
    const thoughts = number(usage, 'thoughtsTokenCount');
    return {
      input: number(usage, 'promptTokenCount') + number(usage, 'toolUsePromptTokenCount') - cached,
      cachedInput: cached,
      cacheWrite: 0,
      output: number(usage, 'candidatesTokenCount') + thoughts,
      reasoning: thoughts,
    };
  }
  const [input, output] = api === 'responses' ? ['input_tokens', 'output_tokens'] : ['prompt_tokens', 'completion_tokens'];
  const cached = number(usage, `${input}_details`, 'cached_tokens');
  const written = number(usage, `${input}_details`, 'cache_write_tokens');
  return {
    input: number(usage, input ?? '') - cached - written,
    cachedInput: cached,
    cacheWrite: written,
    output: number(usage, output ?? ''),
    reasoning: number(usage, `${output}_details`, 'reasoning_tokens'),
  };
}

/** 1 where the exchange names a usage, and then the record must have exactly that. */
function checkUsage(exchange: Exchange, record: CallBody): 0 | 1 {
  if (exchange.usage === null || (exchange.vendor === 'google' && number(exchange.usage, 'promptTokenCount') === 0)) return 0;
  assert.deepEqual(record.usage, usageOf(exchange), exchange.id);
  return 1;
}

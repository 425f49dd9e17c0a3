import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';

/** One request as it goes over the wire. */
export interface WireRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** True: the body is sent in chunks, without its length. */
  readonly chunked: boolean;
}

type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [name: string]: JsonValue };

interface Route {
  readonly path: string;
  readonly body: JsonValue;
}

const tool = { name: 'lookup', description: 'Looks up', input_schema: { type: 'object', properties: { id: { type: 'string' } } } };
const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==';
const question = [{ role: 'user', content: 'Hello' }];

/** A rich, valid request of each route: what is changed in it lies near what clients send. */
const routes: readonly Route[] = [
  {
    path: '/v1/chat/completions',
    body: {
      ...{ model: 'gpt-5.4-mini', max_completion_tokens: 50, stream: false, n: 1, temperature: 1, stop: ['x'] },
      messages: [
        { role: 'system', content: 'Be brief' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'Hi' },
            { type: 'image_url', image_url: { url: `data:image/png;base64,${png}` } },
          ],
        },
        { role: 'assistant', content: null, tool_calls: [{ id: 'a', type: 'function', function: { name: 'lookup', arguments: '{}' } }] },
        { role: 'tool', tool_call_id: 'a', content: 'found' },
      ],
      tools: [{ type: 'function', function: { name: 'lookup', parameters: tool.input_schema } }],
      response_format: { type: 'json_object' },
    },
  },
  {
    path: '/v1/chat/completions',
    body: { model: 'gpt-5.4-mini', stream: true, stream_options: { include_usage: true }, messages: question },
  },
  {
    path: '/v1/responses',
    body: {
      ...{ model: 'gpt-5.4-mini', stream: true, max_output_tokens: 50, store: false, instructions: 'Be brief' },
      input: [{ type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Hi' }] }],
      tools: [{ type: 'web_search' }, { type: 'function', name: 'lookup', parameters: tool.input_schema }],
      reasoning: { effort: 'low' },
    },
  },
  {
    path: '/v1/messages',
    body: {
      ...{ model: 'claude-haiku-4-5', max_tokens: 50, stream: true, tools: [tool] },
      system: [{ type: 'text', text: 'Be brief', cache_control: { type: 'ephemeral' } }],
      messages: [
        { role: 'user', content: [{ type: 'image', source: { type: 'base64', media_type: 'image/png', data: png } }] },
        { role: 'assistant', content: [{ type: 'tool_use', id: 'a', name: 'lookup', input: {} }] },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'a', content: 'found' }] },
      ],
    },
  },
  { path: '/v1/messages', body: { model: 'claude-haiku-4-5', max_tokens: 50, messages: question } },
  { path: '/v1/messages/count_tokens', body: { model: 'claude-haiku-4-5', messages: question } },
  { path: '/v1/embeddings', body: { model: 'text-embedding-3-small', input: ['a', 'b'] } },
  {
    path: '/v1beta/models/gemini-2.5-flash:generateContent',
    body: {
      systemInstruction: { parts: [{ text: 'Be brief' }] },
      contents: [{ role: 'user', parts: [{ text: 'Hi' }, { inlineData: { mimeType: 'image/png', data: png } }] }],
      generationConfig: { maxOutputTokens: 50, candidateCount: 1, thinkingConfig: { thinkingBudget: 0 } },
      tools: [{ functionDeclarations: [{ name: 'lookup', parameters: tool.input_schema }] }],
    },
  },
  {
    path: '/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse',
    body: { contents: [{ role: 'user', parts: [{ text: 'Hi' }] }], generationConfig: { maxOutputTokens: 50 } },
  },
  { path: '/v1beta/models/gemini-2.5-flash:countTokens', body: { contents: [{ role: 'user', parts: [{ text: 'Hi' }] }] } },
];

/** Values that some reader takes for something else. */
const odd: fc.Arbitrary<JsonValue> = fc.oneof(
  fc.constantFrom<JsonValue>(null, true, false, 0, -1, 1.5, 1e308, 2 ** 53, '', '1', 'true', [], {}, [[]], [null], [{}], { type: null }),
  fc.constantFrom<JsonValue>('__proto__', 'constructor', 'web_search', 'audio', 'priority', '\ud800', '\u0000', 'ﷺ'.repeat(40)),
  fc.constantFrom<JsonValue>({ type: 'code_interpreter', container: { type: 'auto' } }, { type: 'file', file_id: 'f' }, { $ref: '#' }),
  fc.integer({ min: 10, max: 200 }).map((depth): JsonValue => JSON.parse('['.repeat(depth) + ']'.repeat(depth)) as JsonValue),
  fc.string({ maxLength: 30 }),
  fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<JsonValue>,
);

const names = fc.constantFrom(
  ...['model', 'stream', 'max_tokens', 'max_completion_tokens', 'n', 'tools', 'messages', 'service_tier', 'modalities', 'audio', 'store'],
  ...['previous_response_id', 'plugins', 'provider', 'extra_body', 'thinking', 'metadata', 'cachedContent', 'constructor', 'toString'],
);

interface Change {
  readonly at: readonly number[];
  readonly kind: 'replace' | 'remove' | 'repeat';
  readonly value: JsonValue;
}

const change: fc.Arbitrary<Change> = fc.record({
  at: fc.array(fc.nat(30), { minLength: 1, maxLength: 5 }),
  kind: fc.constantFrom('replace', 'replace', 'remove', 'repeat'),
  value: odd,
});

function isContainer(value: JsonValue): value is readonly JsonValue[] | { readonly [name: string]: JsonValue } {
  return typeof value === 'object' && value !== null;
}

/** Changes the value at a path, whose numbers choose among the members at each level. */
function changed(value: JsonValue, { at, kind, value: next }: Change): JsonValue {
  const [first = 0, ...rest] = at;
  if (!isContainer(value)) return next;
  const entries = Object.entries(value);
  if (entries.length === 0) return next;
  const chosen = first % entries.length;
  const [name = '', member = null] = entries[chosen] ?? [];
  const isLast = rest.length === 0 || !isContainer(member);
  const inner = isLast ? next : changed(member, { at: rest, kind, value: next });
  const after = entries.flatMap(([key, each], i): [string, JsonValue][] => {
    if (i !== chosen) return [[key, each]];
    if (isLast && kind === 'remove') return [];
    return isLast && kind === 'repeat'
      ? [
          [key, each],
          [`${key}`, each],
        ]
      : [[name, inner]];
  });
  if (Array.isArray(value)) return after.map(([, each]) => each);
  return Object.fromEntries(after);
}

const bodyText: fc.Arbitrary<{ readonly path: string; readonly text: string }> = fc
  .record({
    route: fc.constantFrom(...routes),
    changes: fc.array(change, { maxLength: 3 }),
    added: fc.option(fc.tuple(names, odd), { nil: undefined }),
  })
  .map(({ route, changes, added }) => {
    const body = changes.reduce(changed, route.body);
    const text = JSON.stringify(body);
    const [name, value] = added ?? [];
    const more = name === undefined || !text.startsWith('{"') ? '' : `${JSON.stringify(name)}:${JSON.stringify(value)},`;
    return { path: route.path, text: more === '' ? text : `{${more}${text.slice(1)}` };
  });

/** What happens to a request on its way: at most one thing. */
type Transport = (request: WireRequest) => WireRequest;

const asIs: Transport = (request) => request;

function withBody(change: (bytes: Buffer) => Buffer): Transport {
  return (request) => ({ ...request, body: change(request.body) });
}

const damages: readonly Transport[] = [
  (bytes: Buffer): Buffer => Buffer.concat([Buffer.from('\ufeff'), bytes]),
  (bytes: Buffer): Buffer => bytes.subarray(0, bytes.length >> 1),
  (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.from([0xff, 0xfe])]),
  (bytes: Buffer): Buffer => Buffer.from(bytes.toString().replaceAll('"', '\\u0022')),
  (bytes: Buffer): Buffer => Buffer.concat([Buffer.from(' \n\t'), bytes, Buffer.from('\n')]),
  (): Buffer => Buffer.alloc(0),
].map(withBody);

function coded(name: string, pack: (bytes: Buffer) => Buffer): Transport {
  return (request) => ({ ...request, headers: { ...request.headers, 'content-encoding': name }, body: pack(request.body) });
}

const codings: readonly Transport[] = [
  coded('identity', (bytes) => bytes),
  coded('gzip', gzipSync),
  coded('GZIP', gzipSync),
  coded('br', brotliCompressSync),
  coded('deflate', deflateSync),
  coded('zstd', zstdCompressSync),
  coded('gzip, zstd', (bytes) => zstdCompressSync(gzipSync(bytes))),
  coded('gzip', (bytes) => bytes),
  coded('zstd', (bytes) => zstdCompressSync(bytes).subarray(0, 10)),
  coded('rot13', (bytes) => bytes),
];

const lines: readonly Transport[] = [
  ...['GET', 'PUT', 'HEAD', 'OPTIONS'].map(
    (method): Transport =>
      (request) => ({ ...request, method }),
  ),
  ...['?beta=true', '/', '?key=x&alt=json', '?alt=sse'].map(
    (suffix): Transport =>
      (request) => ({ ...request, path: request.path.includes('?') ? request.path : `${request.path}${suffix}` }),
  ),
  ...['application/json; charset=utf-8', 'text/plain', ''].map(
    (type): Transport =>
      (request) => ({ ...request, headers: { ...request.headers, 'content-type': type } }),
  ),
];

/** A request near what clients send, to a known route, changed in its structure, its bytes and its transport. */
export const wireRequest: fc.Arbitrary<WireRequest> = fc
  .record({
    call: bodyText,
    transport: fc.oneof(
      { weight: 12, arbitrary: fc.constant(asIs) },
      { weight: 2, arbitrary: fc.constantFrom(...damages) },
      { weight: 3, arbitrary: fc.constantFrom(...codings) },
      { weight: 2, arbitrary: fc.constantFrom(...lines) },
    ),
    chunked: fc.boolean(),
  })
  .map(({ call, transport, chunked }) =>
    transport({
      ...{ method: 'POST', chunked, path: call.path, body: Buffer.from(call.text) },
      headers: { 'content-type': 'application/json', 'anthropic-version': '2023-06-01' },
    }),
  );

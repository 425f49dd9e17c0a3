import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';

/** How the provider answers a call: its bytes, in pieces, and how the connection ends. */
export interface WireAnswer {
  readonly status: number;
  readonly end: 'clean' | 'reset' | 'early' | 'silent';
  /** What it bills, in tokens, where that is certain: a whole answer of the right form, with usage. */
  readonly billed?: { readonly input: number; readonly output: number };
  render(call: PlayedCall): { readonly headers: Readonly<Record<string, string>>; readonly pieces: readonly Buffer[] };
}

/** What the provider received. */
interface PlayedCall {
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** A provider that plays what it is given, one answer a call, and notes what it saw. */
export interface PlayedUpstream extends AsyncDisposable {
  readonly url: string;
  /** Sets the answer of all calls from now on. */
  play(answer: WireAnswer): void;
  /** Calls since the last `play`. */
  readonly seen: readonly PlayedCall[];
}

/** Longer than the oracle waits for nothing: a silent provider is cut by the proxy or by the end of the test. */
const silentMs = 400;

export async function startPlayedUpstream(): Promise<PlayedUpstream> {
  let answer: WireAnswer | null = null;
  let seen: PlayedCall[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const call = { path: request.url ?? '', headers: request.headers, body: Buffer.concat(chunks).toString('latin1') };
    seen.push(call);
    if (answer !== null) await deliver(response, answer, call).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    play(next) {
      answer = next;
      seen = [];
    },
    get seen() {
      return seen;
    },
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

async function deliver(response: ServerResponse, answer: WireAnswer, call: PlayedCall): Promise<void> {
  const { status, end } = answer;
  if (end === 'early') {
    response.socket?.resetAndDestroy();
    return;
  }
  const { headers, pieces } = answer.render(call);
  response.writeHead(status, headers);
  for (const piece of pieces) {
    if (response.destroyed) return;
    response.write(piece);
    await pause(0);
  }
  if (end === 'silent') await pause(silentMs);
  if (end === 'clean') response.end();
  else response.socket?.resetAndDestroy();
}

const usage = { input: 3, output: 4 };
const sse = (...events: readonly (string | object)[]): string =>
  events.map((event) => `data: ${typeof event === 'string' ? event : JSON.stringify(event)}\n\n`).join('');
const named = (type: string, more: object = {}): string => `event: ${type}\n${sse({ type, ...more })}`;

interface Template {
  readonly type: string;
  readonly text: string;
}

const chat = { id: 'c', object: 'chat.completion', created: 1, model: 'gpt-5.4-mini' };
const openaiUsage = { prompt_tokens: usage.input, completion_tokens: usage.output, total_tokens: 7 };
const response = {
  ...{ id: 'resp_1', object: 'response', status: 'completed', model: 'gpt-5.4-mini', output: [] },
  usage: { input_tokens: usage.input, output_tokens: usage.output, total_tokens: 7 },
};
const message = {
  ...{
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model: 'claude-haiku-4-5',
    content: [{ type: 'text', text: 'Hi' }],
    stop_reason: 'end_turn',
  },
  usage: { input_tokens: usage.input, output_tokens: usage.output },
};
const content = {
  candidates: [{ content: { parts: [{ text: 'Hi' }], role: 'model' }, finishReason: 'STOP', index: 0 }],
  usageMetadata: { promptTokenCount: usage.input, candidatesTokenCount: usage.output, totalTokenCount: 7 },
};
const json = 'application/json';
const stream = 'text/event-stream';

/** Good answers, whole and streamed, by a part of the path that asks for them. */
const good: readonly { readonly path: string; readonly whole: string; readonly streamed: string }[] = [
  {
    path: '/chat/completions',
    whole: JSON.stringify({
      ...chat,
      choices: [{ index: 0, message: { role: 'assistant', content: 'Hi' }, finish_reason: 'stop' }],
      usage: openaiUsage,
    }),
    streamed: sse(
      { ...chat, choices: [{ index: 0, delta: { content: 'Hi' }, finish_reason: null }] },
      { ...chat, choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] },
      { ...chat, choices: [], usage: openaiUsage },
      '[DONE]',
    ),
  },
  {
    path: '/responses',
    whole: JSON.stringify(response),
    streamed: named('response.created', { response: { ...response, usage: null } }) + named('response.completed', { response }),
  },
  {
    path: '/messages',
    whole: JSON.stringify(message),
    streamed:
      named('message_start', { message: { ...message, content: [], usage: { input_tokens: usage.input, output_tokens: 1 } } }) +
      named('content_block_delta', { index: 0, delta: { type: 'text_delta', text: 'Hi' } }) +
      named('message_delta', { delta: { stop_reason: 'end_turn' }, usage: { output_tokens: usage.output } }) +
      named('message_stop'),
  },
  { path: 'enerateContent', whole: JSON.stringify(content), streamed: sse(content) },
];

/** What no call asks for. */
const others: readonly Template[] = [
  ...good.flatMap(({ whole, streamed }) => [
    { type: json, text: whole },
    { type: stream, text: streamed },
  ]),
  { type: json, text: '{"error":{"message":"no","type":"server_error","code":null}}' },
  { type: 'text/html', text: '<html>502</html>' },
  { type: json, text: '' },
];

function fitting({ path, body }: PlayedCall): Template {
  const found = good.find((each) => path.includes(each.path));
  const streams = path.includes('streamGenerateContent') || body.includes('"stream":true');
  return streams ? { type: stream, text: found?.streamed ?? '' } : { type: json, text: found?.whole ?? '{}' };
}

/** Changes of an answer after which nobody can say what was billed. */
const damages: readonly ((text: string) => string)[] = [
  (text) => text.slice(0, text.length >> 1),
  (text) => text.replaceAll(/\d+/g, '-1'),
  (text) => text.replaceAll(/\d+/g, '1e99'),
  (text) => text.replaceAll(/"usage[^"]*"/g, '"other"'),
  (text) => text.replaceAll(/: ?\{/g, ':[{'),
  (text) => `${'['.repeat(5000)}${text}`,
  (text) => text.replaceAll('\n\n', '\r\n\r\n'),
  (text) => `\ufeff${text}`,
  (text) => text.replaceAll(/"(\w+)"/g, '"$1","$1"'),
  (text) => text.repeat(3),
  (text) => `: comment\n\nevent: ping\ndata: {}\n\n${text}`,
];

function cut(text: Buffer, at: readonly number[]): Buffer[] {
  const ends = [...new Set(at.map((share) => share % (text.length + 1)))].sort((a, b) => a - b);
  return [...ends, text.length].map((end, i) => text.subarray(ends[i - 1] ?? 0, end));
}

function seldom<T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value });
}

const statuses = [400, 401, 402, 403, 404, 408, 413, 422, 429, 500, 502, 503, 504, 529, 302, 204];
const ends = ['reset', 'early', 'silent'] as const;

/** Answers, most of them good. `echo` is repeated in some: a credential that must not come back. */
export function wireAnswer(echo: string): fc.Arbitrary<WireAnswer> {
  const echoes = [
    echo,
    Buffer.from(echo).toString('base64'),
    [...echo].map((letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`).join(''),
  ];
  return fc
    .record({
      other: seldom(fc.constantFrom(...others)),
      damage: seldom(fc.constantFrom(...damages)),
      echoed: seldom(fc.constantFrom(...echoes)),
      status: fc.oneof({ weight: 6, arbitrary: fc.constant(200) }, { weight: 1, arbitrary: fc.constantFrom(...statuses) }),
      type: seldom(fc.constantFrom('text/plain', 'Text/Event-Stream', '')),
      isPacked: fc.oneof({ weight: 9, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
      cuts: fc.array(fc.nat(), { maxLength: 6 }),
      end: fc.oneof({ weight: 6, arbitrary: fc.constant('clean' as const) }, { weight: 1, arbitrary: fc.constantFrom(...ends) }),
    })
    .map(({ other, damage, echoed, status, type, isPacked, cuts, end }): WireAnswer => {
      const isCertain = other === undefined && damage === undefined && type === undefined && status === 200 && end === 'clean';
      return {
        ...{ status, end },
        ...(isCertain ? { billed: usage } : {}),
        render(call) {
          const template = other ?? fitting(call);
          const bytes = bytesOf(damage === undefined ? template.text : damage(template.text), echoed, isPacked);
          return { headers: headersOf(type ?? template.type, echoed, isPacked), pieces: status === 204 ? [] : cut(bytes, cuts) };
        },
      };
    });
}

function bytesOf(text: string, echoed: string | undefined, isPacked: boolean): Buffer {
  const body = echoed === undefined ? text : text.replace('Hi', echoed).replace('"no"', `"${echoed}"`);
  return isPacked ? gzipSync(body) : Buffer.from(body);
}

function headersOf(type: string, echoed: string | undefined, isPacked: boolean): Record<string, string> {
  const headers: Record<string, string> = type === '' ? {} : { 'content-type': type };
  if (isPacked) headers['content-encoding'] = 'gzip';
  if (echoed !== undefined && !echoed.includes('\\')) headers['x-echo'] = echoed;
  return headers;
}

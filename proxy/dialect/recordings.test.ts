import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Usage } from '../../core/price/types.ts';
import { anthropicMessages } from './anthropic/messages.ts';
import { geminiBatchEmbed, geminiCountTokens, geminiEmbed, geminiGenerate } from './gemini/requests.ts';
import { readBody } from './json.ts';
import { openaiChat } from './openai/chat.ts';
import { openaiEmbeddings } from './openai/embeddings.ts';
import { openaiResponses } from './openai/responses/responses.ts';
import type { Dialect, StreamMeter } from './types.ts';

const folder = join(import.meta.dirname, '../../../shared/recordings');
const skip = existsSync(folder) ? false : 'the recordings are not here';

interface Item {
  readonly event?: string;
  readonly data?: string;
  readonly comment?: string;
  readonly raw?: string;
  readonly fields?: Readonly<Record<string, string>>;
}
type Figures = Record<string, unknown>;
interface Exchange {
  readonly id: string;
  readonly vendor: string;
  readonly api: string;
  readonly provenance: string;
  readonly model: string | null;
  readonly request: { readonly body: unknown; readonly path: string } | null;
  readonly response: {
    readonly status: number;
    readonly body?: unknown;
    readonly sse?: readonly Item[];
    readonly framing?: string;
    readonly sse_eol?: string;
    readonly truncated?: boolean;
  };
  readonly usage: Figures | null;
  readonly usage_start?: Figures;
}

const dialects: Readonly<Record<string, Dialect>> = {
  'chat.completions': openaiChat,
  responses: openaiResponses,
  embeddings: openaiEmbeddings,
  messages: anthropicMessages,
  generateContent: geminiGenerate,
  streamGenerateContent: geminiGenerate,
  countTokens: geminiCountTokens,
  embedContent: geminiEmbed,
  batchEmbedContents: geminiBatchEmbed,
};

function exchanges(): readonly Exchange[] {
  const files = readdirSync(folder).filter((name) => name.endsWith('.jsonl'));
  const lines = files.flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n').filter(Boolean));
  return lines.map((line) => JSON.parse(line) as Exchange).filter((exchange) => exchange.api in dialects);
}

function serialised({ sse = [], sse_eol: end = '\n' }: Exchange['response']): Buffer {
  const texts = sse.map((item) => {
    if (item.raw !== undefined) return item.raw;
    if (item.comment !== undefined) return `: ${item.comment}${end}${end}`;
    const name = item.event === undefined ? '' : `event: ${item.event}${end}`;
    const fields = Object.entries(item.fields ?? {}).map(([key, value]) => `${key}: ${value}${end}`);
    const data = (item.data ?? '').split('\n').map((line) => `data: ${line}${end}`);
    return `${name}${fields.join('')}${data.join('')}${end}`;
  });
  return Buffer.from(texts.join(''));
}

/** Seeded by the exchange’s id, so that a failure can be run again. */
function random(seed: string): () => number {
  let state = [...seed].reduce((sum, letter) => (Math.imul(sum, 31) + letter.charCodeAt(0)) | 0, 7);
  return () => {
    state = (Math.imul(state ^ (state >>> 15), state | 1) + 0x6d2b79f5) | 0;
    return ((state ^ (state >>> 14)) >>> 0) / 2 ** 32;
  };
}

function chunksOf(bytes: Buffer, size: () => number): readonly Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + Math.max(1, Math.floor(size()));
    chunks.push(bytes.subarray(at, end));
    at = end;
  }
  return chunks;
}

function pass(meter: StreamMeter, chunks: readonly Buffer[]): Buffer {
  return Buffer.concat([...chunks.flatMap((chunk) => meter.push(chunk)), ...meter.flush()]);
}

function number(object: unknown, ...path: readonly string[]): number {
  const value = path.reduce<unknown>((inner, key) => (inner as Figures | null | undefined)?.[key], object);
  return typeof value === 'number' ? value : 0;
}

function searched(webSearch: number): Partial<Usage> {
  return webSearch > 0 ? { fees: { webSearch } } : {};
}

/** The five classes straight from the recorded figures, as each provider documents them. */
function expected({ vendor, api, usage, usage_start }: Exchange): Partial<Usage> | null {
  if (usage === null || !Object.values(usage).some((value) => typeof value === 'number')) return null;
  if (api === 'messages') {
    const last = (...path: readonly string[]): number =>
      path.reduce<unknown>((inner, key) => (inner as Figures)?.[key], usage) === undefined
        ? number(usage_start, ...path)
        : number(usage, ...path);
    return {
      input: last('input_tokens'),
      cachedInput: last('cache_read_input_tokens'),
      cacheWrite: last('cache_creation_input_tokens'),
      output: last('output_tokens'),
      reasoning: last('output_tokens_details', 'thinking_tokens'),
      ...positive('cacheWrite1h', last('cache_creation', 'ephemeral_1h_input_tokens')),
      ...searched(last('server_tool_use', 'web_search_requests')),
    };
  }
  if (api.includes('Content')) {
    const prompt = number(usage, 'promptTokenCount') + number(usage, 'toolUsePromptTokenCount');
    const cachedInput = number(usage, 'cachedContentTokenCount');
    return {
      input: prompt - cachedInput,
      cachedInput,
      cacheWrite: 0,
      output: api.includes('mbed') ? 0 : number(usage, 'totalTokenCount') - prompt,
      reasoning: number(usage, 'thoughtsTokenCount'),
    };
  }
  const [into, out] = api === 'responses' ? ['input_tokens', 'output_tokens'] : ['prompt_tokens', 'completion_tokens'];
  const cachedInput = number(usage, `${into}_details`, 'cached_tokens');
  const cacheWrite = number(usage, `${into}_details`, 'cache_write_tokens');
  const audioBeside = vendor === 'mistral' ? number(usage, `${into}_details`, 'audio_tokens') : 0;
  const thinkingBeside = vendor === 'google' ? number(usage, 'total_tokens') - number(usage, into) - number(usage, out) : 0;
  return {
    input: Math.max(0, number(usage, into) + audioBeside - cachedInput - cacheWrite),
    cachedInput,
    cacheWrite,
    output: number(usage, out) + thinkingBeside,
    reasoning: number(usage, `${out}_details`, 'reasoning_tokens') + thinkingBeside,
  };
}

function positive(name: string, value: number): Figures {
  return value > 0 ? { [name]: value } : {};
}

function assertUsage(exchange: Exchange, usage: Usage | null): void {
  const wanted = expected(exchange);
  const { id } = exchange;
  if (wanted === null) {
    assert.equal(usage, null, id);
    return;
  }
  assert.ok(usage !== null, id);
  for (const [name, value] of Object.entries(wanted)) assert.deepEqual(usage[name as keyof Usage], value, `${id} ${name}`);
}

test('the usage of every recorded whole answer is read as the provider means it', { skip }, () => {
  let count = 0;
  for (const exchange of exchanges()) {
    const { response, api } = exchange;
    if (response.sse !== undefined || response.status >= 300) continue;
    const { usage, errorBody } = (dialects[api] as Dialect).readUsage(Buffer.from(JSON.stringify(response.body)));
    const failed = (response.body as Figures)['error'];
    assert.equal(errorBody, typeof failed === 'object' && failed !== null ? JSON.stringify({ error: failed }) : undefined, exchange.id);
    if (api === 'countTokens') assert.equal(usage, null);
    else assertUsage(exchange, usage);
    count += 1;
  }
  assert.ok(count > 250, `${count}`);
});

test('every recorded stream passes unchanged and is metered exactly, however it is cut', { skip }, () => {
  let count = 0;
  for (const exchange of exchanges()) {
    const { response, id, api } = exchange;
    if (response.framing !== 'sse' || response.status >= 300) continue;
    const bytes = serialised(response);
    const next = random(id);
    const sizes = [() => Number.POSITIVE_INFINITY, () => next() * 40, () => next() * 1500, ...(count % 20 === 0 ? [() => 1] : [])];
    for (const size of sizes) {
      const meter = (dialects[api] as Dialect).meterStream('keep');
      assert.ok(pass(meter, chunksOf(bytes, size)).equals(bytes), id);
      assertUsage(exchange, meter.reading().usage);
      assertEnd(exchange, meter);
    }
    count += 1;
  }
  assert.ok(count > 180, `${count}`);
});

/** What the stream said of its own end. */
function assertEnd({ response, id, provenance, api }: Exchange, meter: StreamMeter): void {
  const items = response.sse ?? [];
  const texts = items.map(({ data, raw }) => data ?? raw ?? '');
  const failed = texts.some(
    (text) =>
      /^\s*\{\s*("type":"error"|"error":\s*\{)/.test(text) ||
      text.includes('"type":"response.failed"') ||
      /"error":\{"(message|code)/.test(text),
  );
  assert.equal(meter.errorBody !== undefined, failed, `${id} ${meter.errorBody}`);
  if (meter.errorBody !== undefined) assert.ok('error' in (JSON.parse(meter.errorBody) as object), id);
  assert.notEqual(meter.phase, 'preamble', id);
  if (response.truncated === true) assert.equal(meter.complete, false, id);
  const silent = api === 'chat.completions' && !texts.includes('[DONE]') && !texts.some((text) => text.includes('"usage":{'));
  if (provenance === 'recorded' && !silent) assert.equal(meter.complete, true, id);
}

test('the usage chunk that we requested is hidden and nothing else', { skip }, () => {
  let hidden = 0;
  for (const exchange of exchanges()) {
    const { response, id, api } = exchange;
    if (response.framing !== 'sse' || response.status >= 300 || api !== 'chat.completions') continue;
    const kept = (response.sse ?? []).filter(({ data }) => !isUsageChunk(data));
    hidden += (response.sse ?? []).length - kept.length;
    const next = random(id);
    const meter = openaiChat.meterStream('drop');
    const out = pass(
      meter,
      chunksOf(serialised(response), () => next() * 300),
    );
    assert.equal(out.toString(), serialised({ ...response, sse: kept }).toString(), id);
    assertUsage(exchange, meter.reading().usage);
  }
  assert.ok(hidden > 15, `${hidden}`);
});

function isUsageChunk(data: string | undefined): boolean {
  if (data === undefined || !data.startsWith('{')) return false;
  const chunk = JSON.parse(data) as { choices?: readonly unknown[]; usage?: unknown; error?: unknown };
  return chunk.choices?.length === 0 && typeof chunk.usage === 'object' && chunk.usage !== null && chunk.error === undefined;
}

test('every recorded request is read, and says what policy and price need', { skip }, () => {
  let count = 0;
  const refused: string[] = [];
  for (const exchange of exchanges()) {
    const { request, id, api } = exchange;
    if (request === null || typeof request.body !== 'object' || request.body === null) continue;
    const body = readBody(Buffer.from(JSON.stringify(request.body)));
    assert.ok(!('problem' in body), id);
    const model = /models\/([^:/]+):/.exec(request.path)?.[1];
    const named = body.value['model'];
    if (model === undefined && typeof named !== 'string') continue;
    const facts = (dialects[api] as Dialect).read(
      body,
      { ...(model === undefined ? {} : { model }), stream: api.startsWith('stream') },
      {},
    );
    if ('kind' in facts) {
      refused.push(`${facts.code} ${facts.message}`);
      continue;
    }
    assert.equal(facts.model, model ?? named, id);
    assert.ok(facts.demand.textTokens > 0 && Number.isSafeInteger(facts.demand.textTokens), id);
    const sent = number(exchange.usage, 'prompt_tokens') + number(exchange.usage, 'promptTokenCount');
    const plain =
      facts.demand.features.every((name) => name === 'tools' || name === 'structuredOutput') && facts.demand.unmeterable === undefined;
    if (plain) assert.ok(sent <= facts.demand.textTokens + 600, `${id} ${sent} ${facts.demand.textTokens}`);
    count += 1;
  }
  assert.ok(count > 300, `${count}`);
  assert.ok(refused.length < 12, refused.join('\n'));
  for (const reason of refused) assert.match(reason, /^(model_denied|unmeterable_request .*background)/);
});

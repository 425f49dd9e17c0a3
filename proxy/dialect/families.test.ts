import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { ApiError, GoogleGenAI } from '@google/genai';
import OpenAI from 'openai';
import { type Refusal, type RefusalCode, refusalTable, refuse } from '../../core/errors.ts';
import { anthropicFamily } from './anthropic/family.ts';
import { anthropicMessages } from './anthropic/messages.ts';
import { geminiFamily } from './gemini/family.ts';
import { geminiGenerate } from './gemini/requests.ts';
import { openaiChat } from './openai/chat.ts';
import { openaiFamily } from './openai/family.ts';
import { openaiResponses } from './openai/responses/responses.ts';
import type { Dialect, Family } from './types.ts';

const codes = Object.keys(refusalTable) as RefusalCode[];

async function serving<T>(listener: RequestListener, use: (origin: string) => Promise<T>): Promise<T> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    return await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

async function failure(work: () => Promise<unknown>): Promise<Error & Record<string, unknown>> {
  try {
    await work();
  } catch (error) {
    return error as Error & Record<string, unknown>;
  }
  return assert.fail('it did not fail');
}

test('every refusal has each family’s shape and its own code', () => {
  for (const code of codes) {
    const refusal = refuse(code, `Why ${code}.`, { retryAfterSeconds: 7 });
    const { error: openai } = JSON.parse(JSON.stringify(openaiFamily.errorBody(refusal, 'r1'))) as { error: Record<string, unknown> };
    assert.deepEqual([openai['code'], openai['message'], openai['param'], typeof openai['type']], [code, `Why ${code}.`, null, 'string']);
    const anthropic = JSON.parse(JSON.stringify(anthropicFamily.errorBody(refusal, 'r1'))) as {
      type: string;
      request_id: string;
      error: Record<string, unknown>;
    };
    assert.deepEqual(
      [anthropic.type, anthropic.request_id, anthropic.error['code'], anthropic.error['message']],
      ['error', 'r1', code, `Why ${code}.`],
    );
    const { error: gemini } = JSON.parse(JSON.stringify(geminiFamily.errorBody(refusal, 'r1'))) as { error: Record<string, unknown> };
    const info = {
      '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
      reason: code.toUpperCase(),
      domain: 'keyforge.dev',
      metadata: { code, requestId: 'r1' },
    };
    const retry = { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '7s' };
    assert.deepEqual([gemini['code'], gemini['message'], gemini['details']], [refusalTable[code].status, `Why ${code}.`, [info, retry]]);
  }
});

test('the official SDKs raise their own typed errors', async () => {
  const openaiErrors = {
    400: OpenAI.BadRequestError,
    401: OpenAI.AuthenticationError,
    403: OpenAI.PermissionDeniedError,
    404: OpenAI.NotFoundError,
    429: OpenAI.RateLimitError,
  } as const;
  const anthropicErrors = {
    400: Anthropic.BadRequestError,
    401: Anthropic.AuthenticationError,
    403: Anthropic.PermissionDeniedError,
    404: Anthropic.NotFoundError,
    429: Anthropic.RateLimitError,
  } as const;
  let code: RefusalCode = 'invalid_key';
  await serving(
    (request, response) => {
      const { url = '' } = request;
      const family = url.includes('messages') ? anthropicFamily : url.includes('generateContent') ? geminiFamily : openaiFamily;
      response.writeHead(refusalTable[code].status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(family.errorBody(refuse(code, 'Why.'), 'r1')));
    },
    async (origin) => {
      const openai = new OpenAI({ baseURL: `${origin}/v1`, apiKey: 'vk_x', maxRetries: 0 });
      const anthropic = new Anthropic({ baseURL: origin, apiKey: 'vk_x', maxRetries: 0 });
      const gemini = new GoogleGenAI({ apiKey: 'vk_x', httpOptions: { baseUrl: origin } });
      for (code of [
        'invalid_request',
        'invalid_key',
        'budget_exhausted',
        'model_denied',
        'not_found',
        'rate_limited',
        'provider_error',
      ] as const) {
        const { status } = refusalTable[code];
        const first = await failure(() => openai.chat.completions.create({ model: 'm', messages: [] }));
        assert.ok(first instanceof (openaiErrors[status as 400] ?? OpenAI.APIError), code);
        assert.deepEqual([first['status'], first['code'], (first['error'] as { message: string }).message], [status, code, 'Why.']);
        const second = await failure(() => anthropic.messages.create({ model: 'm', max_tokens: 1, messages: [] }));
        assert.ok(second instanceof (anthropicErrors[status as 400] ?? Anthropic.APIError), code);
        const { error } = second['error'] as { error: Record<string, unknown> };
        assert.deepEqual([second['status'], error['code'], error['type']], [status, code, second['type']]);
        const third = await failure(() => gemini.models.generateContent({ model: 'm', contents: 'x' }));
        assert.ok(third instanceof ApiError, code);
        assert.equal(third['status'], status);
        assert.match(third.message, new RegExp(code));
      }
    },
  );
});

function streamError({ streamError, family }: Dialect, refusal: Refusal): Buffer {
  return Buffer.from((streamError ?? family.streamError)(refusal, 'r1', 'sse'));
}

const beginnings = new Map<Dialect, string>([
  [openaiChat, 'data: {"id":"c","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'],
  [openaiResponses, 'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"Hi"}\n\n'],
  [
    anthropicMessages,
    'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}\n\n',
  ],
  [geminiGenerate, 'data: {"candidates":[{"content":{"parts":[{"text":"Hi"}]}}]}\r\n\r\n'],
]);

test('the error that ends a stream is raised by the official SDKs', async () => {
  const refusal = refuse('key_revoked', 'The key was revoked.');
  await serving(
    (request, response) => {
      const dialect = [...beginnings.keys()].find(({ id }) =>
        request.url?.includes(
          { 'openai.chat': 'chat', 'openai.responses': 'responses', 'anthropic.messages': 'messages' }[id as string] ?? 'Content',
        ),
      );
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      if (dialect !== undefined) response.end(Buffer.concat([Buffer.from(beginnings.get(dialect) ?? ''), streamError(dialect, refusal)]));
    },
    async (origin) => {
      const openai = new OpenAI({ baseURL: `${origin}/v1`, apiKey: 'vk_x', maxRetries: 0 });
      const anthropic = new Anthropic({ baseURL: origin, apiKey: 'vk_x', maxRetries: 0 });
      const gemini = new GoogleGenAI({ apiKey: 'vk_x', httpOptions: { baseUrl: origin } });
      const streams = [
        () => openai.chat.completions.create({ model: 'm', messages: [], stream: true }),
        () => openai.responses.create({ model: 'm', input: 'x', stream: true }),
        () => anthropic.messages.create({ model: 'm', max_tokens: 1, messages: [], stream: true }),
        () => gemini.models.generateContentStream({ model: 'm', contents: 'x' }),
      ];
      for (const start of streams) {
        let seen = 0;
        const error = await failure(async () => {
          for await (const _ of await start()) seen += 1;
        });
        assert.equal(seen, 1);
        assert.match(`${error.message} ${JSON.stringify(error['error'])}`, /revoked/);
      }
    },
  );
});

test('the error that ends a stream is read as one by our own meters', () => {
  const refusal = refuse('key_revoked', 'The key was revoked.');
  for (const [dialect, beginning] of beginnings) {
    const meter = dialect.meterStream('keep');
    for (const bytes of [Buffer.from(beginning), streamError(dialect, refusal)]) meter.push(bytes);
    assert.match(meter.errorBody ?? '', /key_revoked/);
    assert.equal(meter.complete, dialect.id === 'openai.responses');
  }
  const array = `[{"candidates":[]}${geminiFamily.streamError(refusal, 'r1', 'array')}`;
  assert.equal((JSON.parse(array) as unknown[]).length, 2);
});

test('a list of models has each family’s shape', async () => {
  const models = [
    { id: 'fast', provider: 'OpenAI' },
    { id: 'claude-sonnet-5', provider: 'Anthropic' },
  ];
  await serving(
    (request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      const unversioned = request.url?.startsWith('/v1beta') ? geminiFamily : openaiFamily;
      const family: Family = request.headers['anthropic-version'] !== undefined ? anthropicFamily : unversioned;
      response.end(JSON.stringify(family.modelList(models)));
    },
    async (origin) => {
      const ids: string[][] = [[], [], []];
      for await (const { id } of new OpenAI({ baseURL: `${origin}/v1`, apiKey: 'vk_x' }).models.list()) ids[0]?.push(id);
      for await (const { id } of new Anthropic({ baseURL: origin, apiKey: 'vk_x' }).models.list()) ids[1]?.push(id);
      const gemini = new GoogleGenAI({ apiKey: 'vk_x', apiVersion: 'v1beta', httpOptions: { baseUrl: origin } });
      for await (const { name } of await gemini.models.list()) ids[2]?.push(name ?? '');
      assert.deepEqual(ids, [
        ['fast', 'claude-sonnet-5'],
        ['fast', 'claude-sonnet-5'],
        ['models/fast', 'models/claude-sonnet-5'],
      ]);
    },
  );
  assert.deepEqual(anthropicFamily.modelList([]), { data: [], has_more: false, first_id: null, last_id: null });
});

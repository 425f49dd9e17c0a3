import assert from 'node:assert/strict';
import { test } from 'node:test';
import { poolDocument } from '../line.fixture.ts';
import { isFree, showsWork } from './error-cost.ts';
import { providerOf } from './table.ts';

const kinds = ['OpenAI', 'Anthropic', 'Gemini', 'AzureOpenAI', 'Mistral', 'OpenRouter', 'OpenAICompatible'] as const;
type Kind = (typeof kinds)[number];

const page = '<html><h1>Bad Gateway</h1></html>';
const own = JSON.stringify({ error: { message: 'no', type: 'x', code: 'y' } });

function free(kind: Kind, status: number, body: string, freeErrors?: true): boolean {
  const provider = providerOf(kind);
  assert.ok(provider !== null);
  return isFree(provider, poolDocument(freeErrors === undefined ? {} : { freeErrors }), { status, body });
}

/** The kinds at which an answer is free. */
function freeAt(status: number, body: string, freeErrors?: true): readonly Kind[] {
  return kinds.filter((kind) => free(kind, status, body, freeErrors));
}

test('what a server rejects before it carries out a call is free at every provider, whatever the body', () => {
  for (const status of [301, 302, 307, 308, 400, 401, 402, 403, 404, 405, 409, 411, 413, 414, 415, 422, 429, 431, 503, 521, 523, 529]) {
    assert.deepEqual([freeAt(status, own), freeAt(status, page)], [kinds, kinds], String(status));
  }
});

test('an outcome that nobody knows costs the bound at every provider, even if the pool says that errors are free', () => {
  for (const status of [303, 408, 418, 425, 499, 501, 504, 520, 522, 524, 530]) {
    assert.deepEqual([freeAt(status, own, true), freeAt(status, page, true)], [[], []], String(status));
  }
});

test('a 500 is free in the own words of a provider that sends it instead of an answer; a page of a server in between is not', () => {
  assert.deepEqual(freeAt(500, own), ['OpenAI', 'Anthropic', 'Gemini', 'Mistral']);
  assert.deepEqual(freeAt(500, page), []);
  assert.deepEqual(freeAt(500, '{}'), []);
});

test('500 and 502 of servers of unknown make are free only if the pool says so', () => {
  assert.deepEqual(freeAt(502, own), []);
  assert.deepEqual(freeAt(502, page), []);
  assert.deepEqual(freeAt(500, page, true), ['OpenRouter', 'OpenAICompatible']);
  assert.deepEqual(freeAt(502, page, true), ['OpenRouter', 'OpenAICompatible']);
});

test('Groq’s lack of flex capacity is free', () => {
  const full = JSON.stringify({ error: { message: 'full', type: 'x', code: 'capacity_exceeded' } });
  assert.deepEqual([freeAt(498, full), freeAt(498, own)], [['OpenAICompatible'], []]);
});

test('a prompt that Azure’s content filter refused costs the bound, also behind a gateway', () => {
  const plain = { message: 'filtered', type: null, param: 'prompt', code: 'content_filter', status: 400 };
  const inner = { message: 'filtered', code: 'bad', innererror: { code: 'ResponsibleAIPolicyViolation' } };
  const spelled = { message: 'filtered', code: 'bad', inner_error: { code: 'ResponsibleAIPolicyViolation' } };
  for (const error of [plain, inner, spelled, { code: 'contentFilter' }, { code: 'content_policy_violation' }]) {
    const expected = ['OpenAI', 'Anthropic', 'Gemini', 'Mistral'];
    assert.deepEqual(freeAt(400, JSON.stringify({ error }), true), expected);
  }
});

test('a prompt above the input limit costs the bound at Azure, which may bill what it read', () => {
  const body = JSON.stringify({ error: { message: 'too long', code: 'context_length_exceeded', type: 'invalid_request_error' } });
  assert.deepEqual(
    freeAt(400, body),
    kinds.filter((kind) => kind !== 'AzureOpenAI'),
  );
});

test('a 400 of OpenRouter that says that generation reached its limit costs the bound, wherever the type stands', () => {
  assert.equal(free('OpenRouter', 400, JSON.stringify({ error: { code: 400, metadata: { error_type: 'max_tokens_exceeded' } } })), false);
  assert.equal(free('OpenRouter', 400, JSON.stringify({ error: { code: 400, type: 'max_tokens_exceeded' } })), false);
  assert.equal(free('OpenRouter', 400, JSON.stringify({ error: { code: 400, metadata: { error_type: 'invalid_request' } } })), true);
});

for (const [kind, error, isFree_] of [
  ['OpenAI', { error: { code: 'rate_limit_exceeded' } }, true],
  ['OpenAI', { error: { type: 'insufficient_quota', code: 'new' } }, true],
  ['OpenAI', { error: { code: 'project_spend_limit_exceeded' } }, true],
  ['OpenAI', { type: 'response.failed', response: { error: { code: 'server_error', message: '' } } }, true],
  ['OpenAI', { error: { code: 'server_is_overloaded' } }, true],
  ['OpenAI', { error: { code: 'invalid_prompt' } }, true],
  ['OpenAI', { error: { code: 'vector_store_timeout' } }, false],
  ['OpenAI', { error: { message: 'of no known kind' } }, false],
  ['AzureOpenAI', { error: { code: 'content_filter' } }, false],
  ['AzureOpenAI', { error: { code: 'server_error' } }, false],
  ['OpenRouter', { error: { code: 429 } }, true],
  ['OpenRouter', { error: { code: 502 } }, false],
  ['OpenRouter', { error: { code: 408 } }, false],
  ['Anthropic', { type: 'error', error: { type: 'overloaded_error' } }, true],
  ['Anthropic', { type: 'error', error: { type: 'api_error' } }, true],
  ['Anthropic', { type: 'error', error: { type: 'request_too_large' } }, true],
  ['Anthropic', { type: 'error', error: { type: 'not_found_error' } }, true],
  ['Anthropic', { type: 'error', error: { type: 'timeout_error' } }, false],
  ['Gemini', { error: { code: 429 } }, true],
  ['Gemini', { error: { code: 504 } }, false],
] as const) {
  test(`within a 200 answer of ${kind}, ${JSON.stringify(error)} is ${isFree_ ? 'free' : 'charged'} by the same rows`, () => {
    assert.equal(free(kind, 200, JSON.stringify(error)), isFree_);
  });
}

test('an error shows work if it holds generated text or usage, at its top or in its error object', () => {
  const shown = [
    { error: { failed_generation: '<function=x>' } },
    { error: {}, choices: [{ text: 'a' }] },
    { error: {}, candidates: [{}] },
    { error: {}, output: [{ type: 'message' }] },
    { error: {}, content: [{ type: 'text', text: 'a' }] },
    { error: {}, completion: 'a' },
    { error: { usage: { tokens: 3 } } },
    { response: { error: {}, output: [{}] } },
    [{ error: {}, usageMetadata: {} }],
  ];
  for (const body of shown) assert.ok(showsWork(body), JSON.stringify(body));
  const plain = [null, 'x', [], {}, { error: { message: 'no' } }, { error: {}, output: [], choices: [], completion: '' }];
  for (const body of [...plain, { detail: [{ loc: ['body'], input: { content: 'hi' } }] }])
    assert.ok(!showsWork(body), JSON.stringify(body));
});

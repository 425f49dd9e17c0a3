import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isRefusal } from '../../core/errors.ts';
import { anthropicFamily } from './anthropic/family.ts';
import { geminiFamily } from './gemini/family.ts';
import { openaiFamily } from './openai/family.ts';
import { callerFamily, endpointTemplates, matchRoute, type Route } from './routes.ts';

function route(method: string, target: string, headers: Record<string, string> = {}): Route | null {
  const found = matchRoute(method, target, headers);
  if (!isRefusal(found)) return found;
  assert.equal(found.code, 'not_found');
  return null;
}

function call(target: string): readonly unknown[] | null {
  const found = route('POST', target);
  return found?.kind === 'call' ? [found.endpoint, found.dialect.id, found.family, found.action, found.search] : null;
}

test('every route of the contract leads to its dialect', () => {
  assert.deepEqual(call('/v1/chat/completions'), ['/v1/chat/completions', 'openai.chat', openaiFamily, {}, '']);
  assert.deepEqual(call('/v1/responses?x=1'), ['/v1/responses', 'openai.responses', openaiFamily, {}, '?x=1']);
  assert.deepEqual(call('/v1/responses/input_tokens'), ['/v1/responses/input_tokens', 'openai.input_tokens', openaiFamily, {}, '']);
  assert.deepEqual(call('/v1/responses/compact'), ['/v1/responses/compact', 'openai.compact', openaiFamily, {}, '']);
  assert.deepEqual(call('/v1/responses/input_tokens'), ['/v1/responses/input_tokens', 'openai.input_tokens', openaiFamily, {}, '']);
  assert.deepEqual(call('/v1/completions'), ['/v1/completions', 'openai.completions', openaiFamily, {}, '']);
  assert.deepEqual(call('/v1/fim/completions'), ['/v1/fim/completions', 'mistral.fim', openaiFamily, {}, '']);
  assert.deepEqual(call('/v1/moderations'), ['/v1/moderations', 'openai.moderations', openaiFamily, {}, '']);
  assert.deepEqual(call('/v1/embeddings'), ['/v1/embeddings', 'openai.embeddings', openaiFamily, {}, '']);
  for (const path of ['/v1/messages', '/messages'])
    assert.deepEqual(call(`${path}?beta=true`), ['/v1/messages', 'anthropic.messages', anthropicFamily, {}, '?beta=true']);
  assert.deepEqual(call('/v1/messages/count_tokens'), ['/v1/messages/count_tokens', 'anthropic.count_tokens', anthropicFamily, {}, '']);
  for (const version of ['v1', 'v1beta']) {
    const gemini = (action: string, id: string, stream: boolean): void => {
      const expected = [`/v1beta/models/{model}:${action}`, id, geminiFamily, { stream, model: 'gemini-3-pro' }, '?alt=sse'];
      assert.deepEqual(call(`/${version}/models/gemini-3-pro:${action}?alt=sse`), expected);
    };
    gemini('generateContent', 'gemini.generateContent', false);
    gemini('streamGenerateContent', 'gemini.generateContent', true);
    gemini('countTokens', 'gemini.countTokens', false);
    gemini('embedContent', 'gemini.embedContent', false);
    gemini('batchEmbedContents', 'gemini.batchEmbedContents', false);
  }
  assert.equal(endpointTemplates.length, 15);
});

test('KeyForge’s own routes are no calls', () => {
  assert.deepEqual(route('GET', '/v1/models'), { kind: 'api', family: openaiFamily, operation: 'list_models' });
  assert.deepEqual(route('GET', '/v1/models', { 'anthropic-version': '2023-06-01' }), {
    kind: 'api',
    family: anthropicFamily,
    operation: 'list_models',
  });
  assert.deepEqual(route('GET', '/v1beta/models'), { kind: 'api', family: geminiFamily, operation: 'list_models' });
  assert.deepEqual(route('GET', '/v1/models', { 'x-goog-api-key': 'k' }), { kind: 'api', family: geminiFamily, operation: 'list_models' });
  for (const [path, family] of [
    ['/v1/models/meta-llama/llama-3-70b', openaiFamily],
    ['/v1/models/meta-llama%2Fllama-3-70b', openaiFamily],
    ['/v1beta/models/meta-llama/llama-3-70b', geminiFamily],
  ] as const)
    assert.deepEqual(route('GET', path), { kind: 'api', family, operation: 'get_model', model: 'meta-llama/llama-3-70b' });
  assert.deepEqual(route('GET', '/keyforge/v1/self'), { kind: 'api', family: openaiFamily, operation: 'get_self' });
  assert.deepEqual(route('GET', '/keyforge/v1/keys'), { kind: 'api', family: openaiFamily, operation: 'list_keys' });
  assert.deepEqual(route('POST', '/keyforge/v1/keys'), { kind: 'api', family: openaiFamily, operation: 'create_key' });
  for (const name of ['agents/sub', 'agents%2Fsub']) {
    assert.deepEqual(route('DELETE', `/keyforge/v1/keys/${name}`), {
      kind: 'api',
      family: openaiFamily,
      operation: 'delete_key',
      child: 'agents/sub',
    });
  }
});

test('anything else is not found', () => {
  for (const [method, target] of [
    ['HEAD', '/'],
    ['GET', '/'],
    ['GET', '/v1/chat/completions'],
    ['HEAD', '/v1/models'],
    ['GET', '/v1/models/'],
    ['GET', '/v1/models/a/../b'],
    ['POST', '/v1/models'],
    ['post', '/v1/responses'],
    ['POST', ''],
    ['POST', '*'],
    ['POST', 'http://other.example/v1/responses'],
    ['POST', '//v1/responses'],
    ['POST', '/v1/responses/'],
    ['POST', '/v1//responses'],
    ['POST', '/v1/Responses'],
    ['POST', '/v1/responses/../embeddings'],
    ['POST', '/v1/%72esponses'],
    ['POST', '/chat/completions'],
    ['POST', '/v1/files'],
    ['POST', '/v1/realtime/client_secrets'],
    ['POST', '/v1beta/models/gemini:batchGenerateContent'],
    ['POST', '/v1beta/models/gemini:constructor'],
    ['POST', '/v1beta/models/:generateContent'],
    ['POST', '/v1beta/models:generateContent'],
    ['POST', '/v1beta/tunedModels/x:generateContent'],
    ['DELETE', '/keyforge/v1/keys'],
    ['DELETE', '/keyforge/v1/keys/'],
    ['POST', `/v1beta/models/${'a'.repeat(300)}:generateContent`],
    ['POST', `/${'a'.repeat(100_000)}`],
  ] as const) {
    assert.equal(route(method, target), null, `${method} ${target.slice(0, 80)}`);
  }
});

test('Azure’s SDKs find OpenAI’s routes under their own paths', () => {
  for (const path of ['/openai/v1/chat/completions', '/openai/deployments/gpt-4o/chat/completions'])
    assert.deepEqual(call(`${path}?api-version=2024-10-21`)?.slice(0, 2), ['/v1/chat/completions', 'openai.chat'], path);
  for (const path of ['/openai/v1/models', '/openai/models'])
    assert.deepEqual(route('GET', path), { kind: 'api', family: openaiFamily, operation: 'list_models' }, path);
  assert.deepEqual(route('GET', '/openai/v1/models/gpt-4o'), {
    ...{ kind: 'api', family: openaiFamily, operation: 'get_model' },
    model: 'gpt-4o',
  });
  for (const path of ['/openai/v1/messages', '/openai/deployments/a/b/chat/completions', '/openai/chat/completions'])
    assert.equal(call(path), null, path);
});

test('a path that misses a route by its base URL is told which one was meant', () => {
  const message = (method: string, path: string): string => {
    const found = matchRoute(method, path, {});
    return isRefusal(found) ? found.message : 'found';
  };
  for (const [method, path, meant] of [
    ['POST', '//v1/responses', '/v1/responses'],
    ['POST', '/v1/responses/', '/v1/responses'],
    ['POST', '/v1/v1/messages', '/v1/messages'],
    ['POST', '/v1/v1/chat/completions', '/v1/chat/completions'],
    ['POST', '/chat/completions', '/v1/chat/completions'],
    ['POST', '/v1beta/openai/chat/completions', '/v1/chat/completions'],
    ['POST', '/openai/chat/completions', '/v1/chat/completions'],
    ['POST', '/api/v1/chat/completions', '/v1/chat/completions'],
    ['POST', '/v1/v1beta/models/gemini-2.5-flash:generateContent', '/v1beta/models/gemini-2.5-flash:generateContent'],
    ['POST', '/anthropic/v1/messages', '/v1/messages'],
    ['POST', '/models/gemini-2.5-flash:generateContent', '/v1beta/models/gemini-2.5-flash:generateContent'],
    ['POST', '/v1alpha/models/gemini-2.5-flash:embedContent', '/v1beta/models/gemini-2.5-flash:embedContent'],
    ['POST', '/v1beta/models/gemini-2.5-flash:countTokens/', '/v1beta/models/gemini-2.5-flash:countTokens'],
    ['POST', '/v1/chat/completions/chat/completions', '/v1/chat/completions'],
    ['POST', '/v1/responses/responses', '/v1/responses'],
    ['POST', '/v1/messages/v1/messages', '/v1/messages'],
    ['POST', '/v1/messages/messages', '/v1/messages'],
    ['POST', '/v1/embeddings/embeddings/', '/v1/embeddings'],
    ['GET', '/models', '/v1/models'],
    ['GET', '/v1/models/', '/v1/models'],
    ['GET', '//v1beta/models', '/v1beta/models'],
  ] as const)
    assert.match(message(method, path), new RegExp(`Did you mean ${meant.replace('.', '\\.')}\\? Set the base URL`), path);
  // Google's SDKs add the version themselves, as Anthropic's do; OpenAI's do not.
  for (const path of ['/models/g:generateContent', '/v1/v1/models/g:generateContent', '/v1/v1/messages'])
    assert.match(message('POST', path), /without a path/, path);
  assert.match(message('POST', '/v1/v1/embeddings'), /to …\/v1 once/);
  assert.match(message('GET', '/v1/chat/completions'), /Did you mean POST \/v1\/chat\/completions\?/);
  for (const [method, path] of [
    ['GET', '/v1/responses/resp_1'],
    ['POST', '/v1/responses/resp_1/cancel'],
    ['DELETE', '/v1/responses/resp_1'],
  ] as const)
    assert.match(message(method, path), /no stored responses/);
  // A model of that name, colon and all, is not what was meant.
  for (const path of ['/v1/files', '/v1beta/models/g:batchGenerateContent', '/v1beta/models/g:predict'])
    assert.match(message('POST', path), /^There is no route POST [^ ]+; docs\/providers\.md lists/, path);
});

test('a model in a path is decoded once and means one thing', () => {
  const model = (name: string): unknown => {
    const found = route('POST', `/v1beta/models/${name}:generateContent`);
    return found?.kind === 'call' ? found.action.model : null;
  };
  assert.equal(model('gemini-2.5-flash'), 'gemini-2.5-flash');
  assert.equal(model('team/pool/gemini%402'), 'team/pool/gemini@2');
  assert.equal(model('publishers%2Fgoogle%2Fx'), 'publishers/google/x');
  assert.equal(model('ft:x:y'), 'ft:x:y');
  const hostile = [
    '..',
    '%2e%2e',
    '%2e%2e%2fx',
    'a/../b',
    'a%2f..%2fb',
    '%252e%252e',
    'a%00',
    'a%0d%0ab',
    'a%3fb',
    'a%23b',
    'a b',
    'a%20b',
    'a%',
    'a%ff',
    '/a',
    'a//b',
    'a/./b',
    'a/',
    'a/.',
    '.',
    'é',
    'a\\b',
    'a%5cb',
  ];
  for (const name of hostile) assert.equal(model(name), null, name);
});

test('the family of a caller is known before its route', () => {
  assert.equal(callerFamily('/v1beta/nothing', {}), geminiFamily);
  assert.equal(callerFamily('/v1/messages/batches', {}), anthropicFamily);
  assert.equal(callerFamily('/nothing', {}), openaiFamily);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { anthropicFamily } from '../dialect/anthropic/family.ts';
import { geminiFamily } from '../dialect/gemini/family.ts';
import { openaiFamily } from '../dialect/openai/family.ts';
import { headersForClient, headersForProvider, queryForProvider } from './headers.ts';

function names(flat: readonly string[]): string[] {
  return flat.filter((_, i) => i % 2 === 0);
}

test('headers that matter go to the provider, in their order and with their values', () => {
  const raw = [
    'Host',
    'x',
    'Anthropic-Version',
    '2026-10-21',
    'anthropic-beta',
    'a,b',
    'anthropic-beta',
    'c',
    'User-Agent',
    'claude-cli',
    'X-Stainless-OS',
    'Linux',
    'x-claude-code-session-id',
    's',
    'traceparent',
    '00-1',
  ];
  assert.deepEqual(headersForProvider(raw, anthropicFamily), [
    ...['content-type', 'application/json', 'accept-encoding', 'identity'],
    ...['anthropic-version', '2026-10-21', 'anthropic-beta', 'a,b', 'anthropic-beta', 'c', 'user-agent', 'claude-cli'],
    ...['x-stainless-os', 'Linux', 'x-claude-code-session-id', 's', 'traceparent', '00-1'],
  ]);
});

test('nothing that could steer a credential or carry one goes to the provider', () => {
  const steering = [
    ...[
      'host',
      'authorization',
      'x-api-key',
      'api-key',
      'x-goog-api-key',
      'proxy-authorization',
      'cookie',
      'connection',
      'keep-alive',
      'te',
      'upgrade',
    ],
    ...[
      'transfer-encoding',
      'content-length',
      'content-type',
      'accept-encoding',
      'expect',
      'forwarded',
      'x-forwarded-for',
      'x-forwarded-host',
      'x-real-ip',
      'via',
    ],
    ...[
      'x-keyforge-anything',
      'openai-organization',
      'openai-project',
      'anthropic-workspace-id',
      'x-goog-user-project',
      'x-original-url',
      'x-http-method-override',
    ],
    ...['anthropic-dangerous-direct-browser-access', 'origin', 'referer', 'x-portkey-custom-host', '__proto__'],
  ];
  const raw = steering.flatMap((name) => [name, 'evil', name.toUpperCase(), 'evil']);
  assert.deepEqual(headersForProvider(raw, openaiFamily), ['content-type', 'application/json', 'accept-encoding', 'identity']);
});

test('Anthropic gets a version where the client names none', () => {
  assert.deepEqual(headersForProvider([], anthropicFamily).slice(-2), ['anthropic-version', '2023-06-01']);
});

test('the client gets what the provider says of its answer, not of its account or its origin', () => {
  const flat = headersForClient({
    'content-type': 'application/json',
    'x-request-id': 'r',
    'retry-after': '3',
    'x-ratelimit-remaining-tokens': '7',
    'x-codex-primary-used-percent': '4',
    'x-many': ['a', 'b'] as unknown as string,
    'content-length': '10',
    'content-encoding': 'gzip',
    'transfer-encoding': 'chunked',
    connection: 'keep-alive',
    'set-cookie': ['a=b'],
    location: 'http://evil',
    'openai-organization': 'org-1',
    'openai-project': 'proj',
    'anthropic-organization-id': 'uuid',
    'anthropic-workspace-id': 'w',
    'alt-svc': 'h3',
    'strict-transport-security': 'x',
    'www-authenticate': 'Bearer',
    'access-control-allow-origin': '*',
    'x-keyforge-cost-usd': '0',
  });
  assert.deepEqual(flat, [
    'content-type',
    'application/json',
    'x-request-id',
    'r',
    'retry-after',
    '3',
    'x-ratelimit-remaining-tokens',
    '7',
    'x-codex-primary-used-percent',
    '4',
    'x-many',
    'a',
    'x-many',
    'b',
  ]);
});

test('any header of any client leaves only names from the list', () => {
  const allowed =
    /^(content-type|accept-encoding|accept|anthropic-(beta|version)|user-agent|trace(parent|state)|openai-beta|x-stainless-.*|x-codex-.*|x-claude-code-.*|x-app|originator|x-client-request-id|x-goog-api-client|(x-)?session[-_].*|thread-id|conversation[-_]id)$/;
  const name = fc.oneof(
    fc.string({ minLength: 1 }),
    fc.constantFrom('Authorization', 'OpenAI-Beta', 'X-Api-Key', 'x-stainless-lang', 'OPENAI-ORGANIZATION'),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(name, fc.string())), (pairs) => {
      const sent = names(headersForProvider(pairs.flat(), openaiFamily));
      assert.ok(
        sent.every((each) => allowed.test(each)),
        sent.join(),
      );
    }),
  );
});

test('only harmless query parameters pass, and never two', () => {
  assert.equal(queryForProvider(geminiFamily, '?alt=sse'), '?alt=sse');
  assert.equal(queryForProvider(geminiFamily, '?key=AIza&alt=sse'), '?alt=sse');
  assert.equal(queryForProvider(geminiFamily, '?alt=sse&alt=json'), '?alt=sse');
  assert.equal(queryForProvider(geminiFamily, '?alt=media'), '');
  assert.equal(queryForProvider(geminiFamily, '?al%74=sse&ALT=sse'), '');
  assert.equal(queryForProvider(anthropicFamily, '?beta=true'), '?beta=true');
  assert.equal(queryForProvider(anthropicFamily, '?beta=true%0d%0ahost:evil'), '');
  assert.equal(queryForProvider(openaiFamily, '?api-version=1&key=x'), '');
  assert.equal(queryForProvider(openaiFamily, ''), '');
});

test('names that a caller makes up fill no memory', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const held = (): number => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  const before = held();
  for (let n = 0; n < 1000; n += 1) assert.equal(headersForProvider([`x-${n}-${'a'.repeat(30_000)}`, ''], openaiFamily).length, 4);
  assert.ok(held() - before < 4_000_000);
});

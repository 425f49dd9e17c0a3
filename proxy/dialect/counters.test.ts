import assert from 'node:assert/strict';
import { test } from 'node:test';
import { counters } from './counters.ts';
import { readBody } from './json.ts';
import type { DialectId } from './types.ts';

function requestOf(id: DialectId, text: string): string | undefined {
  const body = readBody(Buffer.from(text));
  if ('problem' in body) throw new Error(body.problem);
  return counters[id]?.request(body, 'up"x')?.toString();
}

test('a counter gets the caller’s own bytes, whatever a parser makes of them', () => {
  const odd = '[ {"role":"user", "content":"\\u00e9\\/"} ]';
  assert.equal(requestOf('openai.chat', `{"messages" : ${odd},"model":"m"}`), `{"model":"up\\"x","input":${odd}}`);
  assert.equal(
    requestOf('openai.responses', `{"model":"m","input":${odd},"top_p":1,"text":{"a":1e400}}`),
    `{"model":"up\\"x","input":${odd},"text":{"a":1e400}}`,
  );
  assert.equal(
    requestOf('anthropic.messages', `{"max_tokens":1,"messages":${odd},"system":"a","model":"m"}`),
    `{"model":"up\\"x","messages":${odd},"system":"a"}`,
  );
  assert.equal(
    requestOf('gemini.generateContent', `{"contents":${odd}}`),
    `{"generateContentRequest":{"model":"models/up\\"x","contents":${odd}}}`,
  );
});

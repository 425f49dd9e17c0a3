import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readBody } from '../json.ts';
import type { Counter } from '../types.ts';
import { chatCounter, responsesCounter } from './count.ts';

function request(counter: Counter, value: Readonly<Record<string, unknown>>): unknown {
  const body = readBody(Buffer.from(JSON.stringify(value)));
  if ('problem' in body) throw new Error(body.problem);
  const bytes = counter.request(body, 'up');
  return bytes === null ? null : JSON.parse(bytes.toString());
}

const chat = { model: 'a', messages: [{ role: 'user', content: 'Hi' }], temperature: 1 };
const response = { model: 'a', input: 'Hi', tools: [], temperature: 1 };

test('the counter gets what the model is shown, under the provider’s name of the model', () => {
  assert.deepEqual(request(chatCounter, chat), { model: 'up', input: [{ role: 'user', content: 'Hi' }] });
  assert.deepEqual(request(responsesCounter, response), { model: 'up', input: 'Hi', tools: [] });
});

test('a request with text that the counter would not see is not counted', () => {
  for (const more of [{ documents: [{ text: 'x' }] }, { input_ids: [1] }, { chat_template_kwargs: { a: true } }, { safe_prompt: true }]) {
    assert.equal(request(chatCounter, { ...chat, ...more }), null, JSON.stringify(more));
    assert.equal(request(responsesCounter, { ...response, ...more }), null, JSON.stringify(more));
  }
  for (const more of [
    { tools: [] },
    { response_format: {} },
    { prediction: {} },
    { messages: [{ role: 'user', content: 'Hi', name: 'x' }] },
  ])
    assert.equal(request(chatCounter, { ...chat, ...more }), null, JSON.stringify(more));
});

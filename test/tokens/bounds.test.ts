import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isRefusal } from '../../core/errors.ts';
import { stringBound } from '../../core/price/text.ts';
import { readBody } from '../../proxy/dialect/json.ts';
import { openaiChat } from '../../proxy/dialect/openai/chat.ts';
import type { Facts } from '../../proxy/dialect/types.ts';
import { openAi } from '../../proxy/provider/openai.ts';
import { openAiCompatible } from '../../proxy/provider/openai-compatible.ts';
import type { Provider } from '../../proxy/provider/types.ts';
import { inputBound } from './input-bound.ts';
import { recordedCalls } from './recorded.ts';
import { bodyOf, type ChatRequest, chatRequest, shortestRequest } from './requests.ts';
import { hostileText } from './texts.ts';
import { type Counter, tokenizers } from './tokenizers.ts';

// `TOKEN_RUNS=100000 npm run test:tokens` searches for longer.
const numRuns = Number(process.env['TOKEN_RUNS'] ?? 200);
const seed = Number(process.env['TOKEN_SEED'] ?? Date.now() % 2 ** 31);
console.log(`TOKEN_SEED=${seed}`);

for (const [name, load] of Object.entries(tokenizers)) {
  test(`${name} gives no text more tokens than its bound, and no chat request more than the bound of its body`, async (context) => {
    const counter = await loaded(load);
    if (typeof counter === 'string') {
      console.log(`SKIPPED: ${name}: ${counter}`);
      context.skip(counter);
      return;
    }
    fc.assert(
      fc.property(hostileText, (text) => counter.text(text) <= stringBound(text)),
      { numRuns, seed },
    );
    const { request: count, takesTools } = counter;
    if (count === undefined) return;
    const provider = name.endsWith('k_base') ? openAi : openAiCompatible;
    for (const withTools of takesTools === true ? [false, true] : [false]) {
      const above = checkRequests(count, provider, withTools);
      context.diagnostic(`${withTools ? 'with' : 'without'} tools, at most ${above} tokens more than the bound of the body's text`);
    }
  });
}

/** Checks requests of every kind. Gives the most tokens above the bound of a body's text: a fixed overhead must cover that. */
function checkRequests(count: (request: ChatRequest) => number, provider: Provider, withTools: boolean): number {
  let above = Number.NEGATIVE_INFINITY;
  const holds = (request: ChatRequest): boolean => {
    const { demand } = read(request);
    const tokens = count(request);
    above = Math.max(above, tokens - demand.textTokens);
    return tokens <= (inputBound(provider, 'm', demand) ?? 0);
  };
  fc.assert(fc.property(chatRequest(withTools), holds), {
    numRuns: Math.ceil(numRuns / 4),
    seed,
    examples: [[shortestRequest(withTools)]],
  });
  return above;
}

/** The tokenizer, or why it cannot be had here. */
async function loaded(load: () => Promise<Counter>): Promise<Counter | string> {
  return load().catch((error: Error) => error.message.split('\n')[0] ?? '');
}

function read(request: ChatRequest): Facts {
  const body = readBody(Buffer.from(bodyOf(request)));
  assert.ok(!('problem' in body));
  const facts = openaiChat.read(body, {}, {});
  assert.ok(!isRefusal(facts));
  return facts;
}

const calls = recordedCalls();
const skip = calls === null ? 'the recordings are not beside the repository (../shared/recordings)' : false;
if (skip !== false) console.log(`SKIPPED: ${skip}`);

test('no recorded call was counted above the bound of its input', { skip }, () => {
  const bounded = (calls ?? []).filter(({ bound }) => bound !== null);
  assert.ok(bounded.length > 350, `${bounded.length}`);
  assert.deepEqual(
    bounded.filter(({ bound, tokens }) => tokens > (bound ?? 0)),
    [],
  );
});

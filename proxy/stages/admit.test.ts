import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isRefusal, type Refusal, refuse } from '../../core/errors.ts';
import type { KeyDocument, PoolDocument } from '../../core/policy/documents.ts';
import { upperBound } from '../../core/price/bound.ts';
import type { Demand, Overhead } from '../../core/price/demand.ts';
import type { ModelPrice } from '../../core/price/types.ts';
import type { GrantDenial } from '../../core/protocol/money.ts';
import { anthropicCountTokens } from '../dialect/anthropic/messages.ts';
import { openaiChat } from '../dialect/openai/chat.ts';
import { openaiEmbeddings } from '../dialect/openai/embeddings.ts';
import { openaiResponses } from '../dialect/openai/responses/responses.ts';
import type { Dialect, Facts } from '../dialect/types.ts';
import { bot, createPurse, demand, keyDocument, poolDocument, price } from '../line.fixture.ts';
import { mistral } from '../provider/mistral.ts';
import { openAi } from '../provider/openai.ts';
import { openAiCompatible } from '../provider/openai-compatible.ts';
import type { Provider } from '../provider/types.ts';
import { type Admission, admit } from './admit.ts';

const capped: Partial<KeyDocument> = { smallestCapNano: 1_000_000 };

interface Setup {
  readonly document?: Partial<KeyDocument>;
  readonly dialect?: Dialect;
  readonly demand?: Demand;
  readonly facts?: Partial<Facts>;
  readonly maxOutputTokens?: number;
  readonly exact?: boolean;
  readonly prices?: readonly (ModelPrice | null)[];
  readonly overhead?: Overhead;
  readonly provider?: Provider;
  readonly pool?: Partial<PoolDocument>;
  readonly heldNano?: number;
  readonly denial?: GrantDenial;
  readonly notReady?: Refusal;
  /** What the provider counts. */
  readonly counted?: number;
  /** Sizes of earlier answers. */
  readonly answers?: Readonly<Record<string, number>>;
  /** Receives what was asked for. */
  readonly log?: string[];
}

/** Admits a call of 100 tokens of text, which cost 100 nano-USD, with 10 million of them at hand. */
async function outcome(setup: Setup): Promise<Admission | Refusal> {
  const { provider = openAi, log = [], overhead = { tokens: {}, pictureTokens: () => 0 } } = setup;
  const pool = poolDocument(setup.pool);
  const purse = createPurse(setup.heldNano ?? 10_000_000, {
    ...(setup.denial === undefined ? {} : { denial: setup.denial }),
    ...(setup.notReady === undefined ? {} : { notReady: setup.notReady }),
  });
  return await admit({
    requestId: 'req_1',
    document: keyDocument(setup.document),
    dialect: setup.dialect ?? openaiChat,
    facts: {
      model: 'm',
      stream: false,
      unjudged: [],
      wantsUsage: true,
      demand: setup.demand ?? demand(100),
      ...(setup.maxOutputTokens === undefined ? {} : { maxOutputTokens: setup.maxOutputTokens }),
      ...setup.facts,
    },
    candidates: (setup.prices ?? [price()]).map((each) => ({ pool, model: 'm', upstreamModel: 'm', price: each, provider, overhead })),
    exact: setup.exact === true,
    ready: () => purse.ready(),
    reserve(need, wait) {
      log.push(`${wait ? 'wait' : 'ask'} ${need.atLeastNano} ${need.preferredNano} ${need.boundNano}`);
      return purse.reserve(need);
    },
    count(_, affinity) {
      log.push(`count ${affinity}`);
      return Promise.resolve(setup.counted ?? null);
    },
    tokensOf: (answerId) => setup.answers?.[answerId] ?? Promise.resolve(null),
  });
}

async function admitted(
  setup: Setup,
): Promise<{ heldNano: number | undefined; outputTokens: number | undefined; warnings: readonly string[] }> {
  const result = await outcome(setup);
  if (isRefusal(result)) assert.fail(`refused: ${result.code}: ${result.message}`);
  return { heldNano: result.reservation?.amountNano, outputTokens: result.outputTokens, warnings: result.warnings };
}

async function refused(setup: Setup): Promise<Refusal> {
  const result = await outcome(setup);
  assert.ok(isRefusal(result));
  return result;
}

test('a call that providers do not bill reserves nothing', async () => {
  const result = await outcome({ dialect: anthropicCountTokens, document: capped, prices: [null], heldNano: 0 });
  assert.ok(!isRefusal(result) && result.reservation === null && result.warnings.length === 0);
});

test('a call that providers do not bill is refused too if it cannot be recorded', async () => {
  const notReady = refuse('audit_unavailable', 'The spool is full.');
  assert.equal(await outcome({ dialect: anthropicCountTokens, notReady }), notReady);
});

test('the caller’s own limit is kept if policy and model allow it', async () => {
  const result = await admitted({ document: capped, maxOutputTokens: 500, prices: [price({ maxOutputTokens: 500 })] });
  assert.deepEqual(result, { heldNano: 1100, outputTokens: undefined, warnings: [] });
});

test('the caller’s limit is lowered to the policy’s or the model’s, the lesser one, and a warning names both figures', async () => {
  const byPolicy = await admitted({ document: { perRequest: { outputTokens: 64 } }, maxOutputTokens: 500 });
  assert.deepEqual(byPolicy, { heldNano: 228, outputTokens: 64, warnings: ['output limit lowered from 500 to 64'] });
  const byModel = await admitted({ maxOutputTokens: 500, prices: [price({ maxOutputTokens: 32 })] });
  assert.deepEqual(byModel, { heldNano: 164, outputTokens: 32, warnings: ['output limit lowered from 500 to 32'] });
  const byBoth = await admitted({
    document: { perRequest: { outputTokens: 64 } },
    maxOutputTokens: 500,
    prices: [price({ maxOutputTokens: 32 })],
  });
  assert.equal(byBoth.outputTokens, 32);
});

test('the caller’s limit is lowered to what the funds allow, named in a warning', async () => {
  const result = await admitted({ document: capped, maxOutputTokens: 50_000, heldNano: 20_100 });
  assert.deepEqual(result, { heldNano: 20_100, outputTokens: 10_000, warnings: ['output limit lowered from 50000 to 10000'] });
});

test('a call is refused only where its floor does not fit, with the number that would', async () => {
  const setup = { document: capped, maxOutputTokens: 50_000 };
  assert.equal((await admitted({ ...setup, heldNano: 2148 })).outputTokens, 1024);
  const { code, message, limitedBy } = await refused({ ...setup, heldNano: 2147 });
  assert.equal(code, 'budget_exhausted');
  assert.equal(limitedBy, `${bot} Day`);
  assert.match(message, /^The Day budget is spent\. At most 1023 output tokens are affordable, and an answer needs 1024/);
});

test('a caller that asks for its exact limit is refused rather than lowered', async () => {
  const setup = { document: capped, exact: true };
  assert.equal((await admitted({ ...setup, maxOutputTokens: 5000, heldNano: 10_100 })).outputTokens, undefined);
  assert.equal((await refused({ ...setup, maxOutputTokens: 5001, heldNano: 10_100 })).code, 'budget_exhausted');
  const byModel = await refused({ ...setup, maxOutputTokens: 500, prices: [price({ maxOutputTokens: 32 })] });
  assert.equal(byModel.code, 'request_too_expensive');
  assert.match(byModel.message, /exactly 500 output tokens, and at most 32 are allowed/);
});

test('a thinking budget is lowered with the limit, never under what the provider takes', async () => {
  const thinking = { kind: 'budget', tokens: 16_000, leastTokens: 1024 } as const;
  const setup = { document: capped, maxOutputTokens: 32_000, facts: { thinking } };
  const lowered = await outcome({ ...setup, heldNano: 100 + 18_000 });
  assert.ok(!isRefusal(lowered));
  assert.deepEqual([lowered.outputTokens, lowered.thinkingTokens], [9000, 7976]);
  assert.deepEqual(lowered.warnings, ['output limit lowered from 32000 to 9000', 'thinking budget lowered to 7976']);
  assert.equal((await refused({ ...setup, heldNano: 100 + 2 * 2047 })).code, 'budget_exhausted');
  const whole = await outcome(setup);
  assert.ok(!isRefusal(whole) && whole.thinkingTokens === undefined);
});

test('a model that reasons by default needs room for its thoughts', async () => {
  const prices = [price({ reasonsByDefault: true })];
  const setup = { document: capped, maxOutputTokens: 32_000, prices };
  assert.equal((await admitted({ ...setup, heldNano: 100 + 2 * 9216 })).outputTokens, 9216);
  assert.equal((await refused({ ...setup, heldNano: 100 + 2 * 9216 - 1 })).code, 'budget_exhausted');
  assert.equal((await admitted({ ...setup, facts: { thinking: { kind: 'off' } }, heldNano: 100 + 2 * 1024 })).outputTokens, 1024);
});

test('a call is content at once with a limit that nobody notices, and else asks for what it needs at least', async () => {
  const log: string[] = [];
  await admitted({ document: capped, maxOutputTokens: 32_000, log });
  await admitted({ document: capped, maxOutputTokens: 32_000, heldNano: 5100, log });
  const ask = 'ask 16484 16484 64100';
  assert.deepEqual(log, [ask, ask, 'wait 2148 16484 64100']);
});

test('an absent limit is set to what policy and model allow, and a warning says so', async () => {
  const set = async (setup: Setup): Promise<unknown> => {
    const { outputTokens, warnings } = await admitted(setup);
    return [outputTokens, ...warnings];
  };
  assert.deepEqual(await set({ document: capped, prices: [price({ maxOutputTokens: 4000 })] }), [4000, 'output limit set to 4000']);
  assert.deepEqual(await set({ document: { perRequest: { outputTokens: 64 } } }), [64, 'output limit set to 64']);
  assert.deepEqual(await set({ document: capped }), [16_384, 'output limit set to 16384']);
});

test('an absent limit stays absent if nothing limits the key', async () => {
  assert.deepEqual(await admitted({ prices: [price({ maxOutputTokens: 4000 })] }), {
    heldNano: 8100,
    outputTokens: undefined,
    warnings: [],
  });
});

test('an absent limit is set to what the funds pay for, down to 1024', async () => {
  const short = await admitted({ document: capped, prices: [price({ maxOutputTokens: 4000 })], heldNano: 3101 });
  assert.deepEqual(short, { heldNano: 3101, outputTokens: 1500, warnings: ['output limit set to 1500'] });
  const least = await admitted({ document: capped, heldNano: 100 + 2 * 1024 });
  assert.equal(least.outputTokens, 1024);
  const { code, message } = await refused({ document: capped, heldNano: 100 + 2 * 1024 - 1 });
  assert.equal(code, 'budget_exhausted');
  assert.match(message, /At most 1023 output tokens are affordable/);
});

test('what is set never costs more than is held, at any candidate', async () => {
  const nano = fc.integer({ min: 0, max: 50 });
  const plan = fc.record({
    rates: fc.array(fc.record({ input: nano, output: nano }), { minLength: 1, maxLength: 3 }),
    heldNano: fc.integer({ min: 0, max: 300_000 }),
    text: fc.integer({ min: 0, max: 2000 }),
    choices: fc.integer({ min: 1, max: 4 }),
    requested: fc.option(fc.integer({ min: 1, max: 20_000 }), { nil: undefined }),
    perRequest: fc.record(
      { usdNano: fc.integer({ min: 0, max: 300_000 }), outputTokens: fc.integer({ min: 1, max: 20_000 }) },
      { requiredKeys: [] },
    ),
  });
  await fc.assert(
    fc.asyncProperty(plan, async ({ rates, heldNano, text, choices, requested, perRequest }) => {
      const prices = rates.map(({ input, output }) => price({}, input, output));
      const wanted = demand(text, { choices });
      const limit = requested === undefined ? {} : { maxOutputTokens: requested };
      const result = await outcome({ document: { ...capped, perRequest }, prices, demand: wanted, heldNano, ...limit });
      if (isRefusal(result)) return;
      const output = result.outputTokens ?? requested ?? Number.POSITIVE_INFINITY;
      const bounds = prices.map((each) => upperBound(each, wanted, { tokens: {}, pictureTokens: () => 0 }, output));
      const dearest = Math.max(...bounds.map((bound) => (typeof bound === 'number' ? bound : Number.POSITIVE_INFINITY)));
      assert.ok(dearest <= (result.reservation?.amountNano ?? -1));
      assert.ok(dearest <= (perRequest.usdNano ?? Number.POSITIVE_INFINITY));
    }),
    { numRuns: 200 },
  );
});

test('a call is lowered to perRequest.usd, and refused where its floor is beyond that', async () => {
  const document = { perRequest: { usdNano: 3100 } };
  assert.deepEqual(await admitted({ document, maxOutputTokens: 9000 }), {
    heldNano: 3100,
    outputTokens: 1500,
    warnings: ['output limit lowered from 9000 to 1500'],
  });
  const { code, message } = await refused({ document: { perRequest: { usdNano: 2147 } }, maxOutputTokens: 9000 });
  assert.equal(code, 'request_too_expensive');
  assert.match(message, /could cost \$0\.000002148, more than agents\/bot may spend on one request \(\$0\.000002147\)\. At most 1023/);
});

test('where the input alone is beyond perRequest.usd the advice is to send less of it', async () => {
  const { code, message } = await refused({ document: { perRequest: { usdNano: 99 } }, maxOutputTokens: 500 });
  assert.equal(code, 'request_too_expensive');
  assert.match(message, /Send less input\.$/);
});

test('where calls of hosted tools are what costs, the advice is to allow fewer', async () => {
  const { message } = await refused({
    document: { perRequest: { usdNano: 500 } },
    prices: [price({ contextTokens: 1000 })],
    demand: demand(100, { inputReads: 9, toolTokens: 50 }),
  });
  assert.match(message, /Each call of a hosted tool reads the input again: allow fewer \(max_tool_calls, max_uses\)/);
});

test('where content of unknown size is what costs, the advice is to limit it', async () => {
  const document = { perRequest: { usdNano: 500 } };
  const prices = [price({ contextTokens: 1000 })];
  const fetching = await refused({ document, prices, demand: demand(100, { inputReads: 11 }) });
  assert.match(fetching.message, /Hosted tools add results of unknown size.*max_content_tokens of a web fetch/);
  const stored = await refused({ document, prices, demand: demand(100, { stored: ['text'] }) });
  assert.match(stored.message, /unknown size, such as a file, an address or an earlier answer, counts as the model’s whole context/);
});

test('an absent limit is set within perRequest.usd, however much the wallet holds', async () => {
  const result = await admitted({ document: { perRequest: { usdNano: 3101 } } });
  assert.deepEqual(result, { heldNano: 3101, outputTokens: 1500, warnings: ['output limit set to 1500'] });
});

test('the dearest candidate’s bound is held, and an output limit fits every one', async () => {
  const prices = [price(), price({}, 3, 10), price({}, 5, 1)];
  assert.equal((await admitted({ document: capped, maxOutputTokens: 500, prices })).heldNano, 300 + 5000);
  assert.equal((await admitted({ document: capped, maxOutputTokens: 1, prices })).heldNano, 500 + 1);
  const { outputTokens } = await admitted({ document: capped, prices, heldNano: 20_300 });
  assert.equal(outputTokens, 2000);
  const { outputTokens: model } = await admitted({ maxOutputTokens: 500, prices: [price(), price({ maxOutputTokens: 20 })] });
  assert.equal(model, 20);
});

test('the output that a refusal says could be paid for is paid for at every candidate', async () => {
  const prices = [price(), price({}, 3, 10)];
  assert.match((await refused({ document: capped, maxOutputTokens: 5000, prices, heldNano: 1300 })).message, /At most 100 output tokens/);
  const document = { perRequest: { usdNano: 1300 } };
  assert.match((await refused({ document, maxOutputTokens: 5000, prices })).message, /At most 100 output tokens/);
});

test('a model without a price is refused on a capped key, and served on one that no dollar limits', async () => {
  const { code, message } = await refused({ document: capped, maxOutputTokens: 500, prices: [price(), null] });
  assert.equal(code, 'model_unpriced');
  assert.match(message, /spec\.models of platform\/openai/);
  assert.equal((await refused({ document: { perRequest: { usdNano: 1 } }, prices: [null] })).code, 'model_unpriced');
  assert.deepEqual(await admitted({ maxOutputTokens: 500, prices: [null] }), { heldNano: 0, outputTokens: undefined, warnings: [] });
});

test('what cannot be bounded is refused on a capped key with the reason, and served on one that no dollar limits', async () => {
  const endless = demand(100, { unmeterable: 'the request runs a container' });
  const { code, message } = await refused({ document: capped, maxOutputTokens: 500, demand: endless });
  assert.equal(code, 'unmeterable_request');
  assert.match(message, /the request runs a container\.$/);
  assert.deepEqual(await admitted({ maxOutputTokens: 500, demand: endless }), { heldNano: 0, outputTokens: undefined, warnings: [] });
});

test('a bound beyond all money is no bound', async () => {
  assert.equal((await refused({ document: capped, demand: demand(Number.MAX_SAFE_INTEGER) })).code, 'unmeterable_request');
  assert.equal((await refused({ document: capped, demand: demand(Number.NaN) })).code, 'unmeterable_request');
});

test('embeddings have no output to limit', async () => {
  const result = await admitted({ dialect: openaiEmbeddings, document: { ...capped, perRequest: { outputTokens: 64 } } });
  assert.deepEqual(result, { heldNano: 100, outputTokens: undefined, warnings: [] });
});

test('hosted tools without a limit get one on a capped key: as many as are paid for, up to five', async () => {
  const open = demand(100, { openCalls: { fees: ['webSearch'], tools: 1, maxReads: 1 } });
  const setup = { document: capped, demand: open, maxOutputTokens: 50, prices: [price({ fees: { webSearch: 1000 } })] };
  const toolCalls = async (heldNano: number): Promise<unknown> => {
    const result = await outcome({ ...setup, heldNano });
    return isRefusal(result) ? result.code : [result.toolCalls, result.reservation?.amountNano, ...result.warnings];
  };
  assert.deepEqual(await toolCalls(10_000), [5, 5200, 'calls of hosted tools limited to 5']);
  assert.deepEqual(await toolCalls(3200), [3, 3200, 'calls of hosted tools limited to 3']);
  assert.equal(await toolCalls(1199), 'budget_exhausted');
  const free = await outcome({ ...setup, document: {} });
  assert.ok(!isRefusal(free) && free.toolCalls === undefined && free.warnings.length === 0);
});

test('a call counts as one request and as its estimated tokens: four bytes of prompt each, and a short answer', async () => {
  const counted = async (setup: Setup): Promise<unknown> => {
    const result = await outcome(setup);
    return isRefusal(result) ? result : result.reservation?.counted;
  };
  assert.deepEqual(await counted({ maxOutputTokens: 100 }), { grant: 'g-1', requests: 1, tokens: 25 + 100 });
  assert.deepEqual(await counted({ maxOutputTokens: 4000, demand: demand(100, { choices: 2 }) }), {
    grant: 'g-1',
    requests: 1,
    tokens: 25 + 512,
  });
});

test('a denial passes on its wait and its account; figures of money only where money was denied', async () => {
  const denial = {
    code: 'rate_limited',
    limitedBy: `${bot} rate`,
    message: 'Too many.',
    retryAfterSeconds: 7,
    availableNano: 500,
  } as const;
  const refusal = await refused({ document: capped, maxOutputTokens: 500, heldNano: 0, denial });
  assert.deepEqual(refusal, {
    kind: 'refusal',
    code: 'rate_limited',
    message: 'Too many.',
    retryAfterSeconds: 7,
    limitedBy: `${bot} rate`,
  });
});

const counting = { document: capped, dialect: openaiResponses, maxOutputTokens: 1000 };

test('where the bytes do not fit, the provider counts with the credential of the call, and its count bounds', async () => {
  const log: string[] = [];
  const result = await outcome({ ...counting, demand: demand(10_000), heldNano: 5000, counted: 2500, log });
  assert.ok(!isRefusal(result));
  assert.equal(result.reservation?.amountNano, 4500);
  assert.equal(result.facts.affinity, 'req_1');
  assert.deepEqual(log, ['ask 12000 12000 12000', 'count req_1', 'wait 4500 4500 4500']);
});

test('a count leaves out the overhead that it includes, and every candidate but the one that counted', async () => {
  const overhead = { tokens: { request: 500 }, pictureTokens: () => 0 };
  const prices = [price(), price({}, 3, 10)];
  const result = await outcome({ ...counting, overhead, prices, demand: demand(10_000), heldNano: 5000, counted: 2500 });
  assert.ok(!isRefusal(result));
  assert.equal(result.reservation?.amountNano, 4500);
  assert.equal(result.candidates.length, 1);
});

test('a call beyond perRequest.usd by its bytes is served by its count', async () => {
  const document = { perRequest: { usdNano: 5000 } };
  assert.equal((await admitted({ ...counting, document, demand: demand(10_000), counted: 2500 })).heldNano, 4500);
  assert.equal((await refused({ ...counting, document, demand: demand(10_000) })).code, 'request_too_expensive');
});

test('nobody is asked to count where that cannot help', async () => {
  const asked = async (setup: Setup): Promise<boolean> => {
    const log: string[] = [];
    await outcome({ ...counting, demand: demand(10_000), heldNano: 5000, log, ...setup });
    return log.some((line) => line.startsWith('count'));
  };
  assert.equal(await asked({}), true);
  // It fits, or a sixteenth of its bytes does not, or bytes are a small part of what the call costs.
  assert.equal(await asked({ demand: demand(100), maxOutputTokens: 5000 }), false);
  assert.equal(await asked({ heldNano: 20_000 }), false);
  assert.equal(await asked({ heldNano: 2600 }), false);
  assert.equal(await asked({ demand: demand(10_000, { stored: ['text'] }), prices: [price({ contextTokens: 1 })] }), false);
  assert.equal(await asked({ demand: demand(10_000, { inputReads: 2, toolTokens: 1 }) }), false);
  assert.equal(await asked({ demand: demand(10_000, { media: { audio: 1 } }) }), false);
  assert.equal(await asked({ dialect: openaiEmbeddings }), false);
  assert.equal(await asked({ provider: mistral }), false);
  assert.equal(await asked({ provider: openAiCompatible }), false);
  assert.equal(await asked({ provider: openAiCompatible, pool: { countable: true } }), true);
});

test('the known size of an earlier answer bounds a request that continues it', async () => {
  const facts = { continues: 'resp_1' };
  const stored = demand(100, { stored: ['text', 'image'] });
  const setup = { document: capped, demand: stored, facts, maxOutputTokens: 500, prices: [price({ contextTokens: 400_000 })] };
  assert.equal((await admitted({ ...setup, answers: { resp_1: 2000 } })).heldNano, 100 + 2000 + 1000);
  assert.equal((await admitted(setup)).heldNano, 400_000 + 1000);
});

test('a lenient server gets no field that nobody has judged from a capped key, unless its pool says that it is free', async () => {
  const setup = { document: capped, facts: { unjudged: ['enable_search'] }, maxOutputTokens: 500 };
  const { code, message } = await refused({ ...setup, provider: openAiCompatible });
  assert.equal(code, 'unmeterable_request');
  assert.match(message, /"enable_search".*spec\.freeFields/);
  assert.equal((await admitted({ ...setup, provider: openAiCompatible, pool: { freeFields: ['enable_search'] } })).heldNano, 1100);
  assert.equal((await admitted({ ...setup, provider: openAi })).heldNano, 1100);
  assert.equal((await admitted({ ...setup, document: {}, provider: openAiCompatible })).heldNano, 1100);
});

test('a lenient server may show tools longer than they were sent, which its bound includes', async () => {
  const setup = { document: capped, facts: { templateTokens: () => 30 }, maxOutputTokens: 500 };
  assert.equal((await admitted({ ...setup, provider: openAiCompatible })).heldNano, 1130);
  assert.equal((await admitted({ ...setup, provider: openAi })).heldNano, 1100);
});

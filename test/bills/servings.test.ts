import type { JsonObject } from '../../core/json.ts';
import { chatAnswer, chatStream, geminiAnswer, messagesAnswer, messagesStream, responsesAnswer, responsesStream, sse } from './answers.ts';
import { type Answer, type Row, tryRows } from './rows.ts';

/*
 * Ways of serving that multiply the price: those that a request asks for, and those that are the default of an account. Prices of regional
 * hosts, which no test can call, are in `operator/prices/prices.test.ts`.
 */

const million = 1_000_000;
const hi = [{ role: 'user', content: 'Hi' }];

const judged = { refused: 'unmeterable_request' };
const mini = { model: 'gpt-5.4-mini', max_tokens: 100, messages: hi };
const used = { prompt_tokens: 9, completion_tokens: 100 };
const standard = (9 * 0.75 + 100 * 4.5) / million;
const tierRow = { provider: 'OpenAI', path: '/v1/chat/completions', capUsd: 0.02, outcome: 'exact' } as const;

/** An account whose default is priority. */
function tiered(sent: JsonObject): Answer {
  const tier = ['default', 'flex'].includes(String(sent['service_tier'])) ? String(sent['service_tier']) : 'priority';
  const usd = standard * (tier === 'priority' ? 2 : tier === 'flex' ? 0.5 : 1);
  return sent['stream'] === true
    ? { type: sse, body: chatStream(used, { service_tier: tier }), usd }
    : { body: chatAnswer(used, { service_tier: tier }), usd };
}

function tieredResponse(sent: JsonObject): Answer {
  const { usd } = tiered(sent);
  const more = { service_tier: usd > standard ? 'priority' : usd < standard ? 'flex' : 'default' };
  const usage = { input_tokens: 9, output_tokens: 100 };
  return sent['stream'] === true ? { type: sse, body: responsesStream(usage, more), usd } : { body: responsesAnswer(usage, more), usd };
}

const respond = { model: 'gpt-5.4-mini', max_output_tokens: 100, input: 'Hi' };
const tierNames: readonly (readonly [string, object])[] = [
  ['absent', {}],
  ['auto', { service_tier: 'auto' }],
  ['null', { service_tier: null }],
  ['flex', { service_tier: 'flex' }],
  ['priority', { service_tier: 'priority' }],
];

const claude = { model: 'claude-sonnet-4-6', max_tokens: 8000, messages: hi };

/** An answer as long as the request allows, from a place that costs so many percent. */
function placed(sent: JsonObject, geography: string, percent: number): Answer {
  const output_tokens = Number(sent['max_tokens']);
  const usage = { input_tokens: 9, output_tokens, inference_geo: geography };
  const usd = ((9 * 3 + output_tokens * 15) * percent) / 100 / million;
  return sent['stream'] === true ? { type: sse, body: messagesStream(usage), usd } : { body: messagesAnswer(usage), usd };
}

const us = (sent: JsonObject): Answer => placed(sent, 'us', 110);
const geoRow = { provider: 'Anthropic', path: '/v1/messages', capUsd: 1, outcome: 'exact' } as const;
const flash = {
  contents: [{ role: 'user', parts: [{ text: 'Hi' }] }],
  generationConfig: { maxOutputTokens: 100, thinkingConfig: { thinkingBudget: 0 } },
};

const servings: readonly Row[] = [
  ...tierNames.flatMap(([what, tier]): readonly Row[] => [
    { ...tierRow, name: `chat of tier ${what} on an account of priority`, body: { ...mini, ...tier }, answer: tiered },
    { ...tierRow, name: `a stream of tier ${what}`, body: { ...mini, ...tier, stream: true }, answer: tiered },
    { ...tierRow, name: `a response of tier ${what}`, path: '/v1/responses', body: { ...respond, ...tier }, answer: tieredResponse },
    {
      ...tierRow,
      name: `a streamed response of tier ${what}`,
      path: '/v1/responses',
      body: { ...respond, ...tier, stream: true },
      answer: tieredResponse,
    },
  ]),
  ...tierNames.slice(0, 3).flatMap(([what, tier]): readonly Row[] => [
    { ...tierRow, provider: 'AzureOpenAI', name: `Azure’s chat of tier ${what}`, body: { ...mini, ...tier }, answer: tiered },
    {
      ...tierRow,
      provider: 'AzureOpenAI',
      name: `Azure’s response of tier ${what}`,
      path: '/v1/responses',
      body: { ...respond, ...tier },
      answer: tieredResponse,
    },
  ]),
  { ...tierRow, name: 'a tier of no known price', body: { ...mini, service_tier: 'ultra' }, outcome: judged },
  { ...tierRow, name: 'a tier of the wrong type', body: { ...mini, service_tier: ['priority'] }, outcome: { refused: 'invalid_request' } },
  { ...geoRow, name: 'inference in the US that the request asks for', body: { ...claude, inference_geo: 'us' }, answer: us },
  { ...geoRow, name: 'inference in the US by the default of the workspace', body: claude, answer: us },
  { ...geoRow, name: 'a stream from the US by the default of the workspace', body: { ...claude, stream: true }, answer: us },
  {
    ...geoRow,
    name: 'inference anywhere',
    body: { ...claude, inference_geo: 'global' },
    serves: 8,
    answer: (sent) => placed(sent, 'global', 100),
  },
  { ...geoRow, name: 'inference in a place of no known price', body: { ...claude, inference_geo: 'mars' }, outcome: judged },
  {
    name: 'priority that Gemini served as the request asked',
    provider: 'Gemini',
    path: '/v1beta/models/gemini-2.5-flash:generateContent',
    body: { ...flash, serviceTier: 'priority' },
    capUsd: 0.02,
    answer: () => ({
      body: geminiAnswer({ promptTokenCount: 9, candidatesTokenCount: 100, serviceTier: 'priority' }),
      usd: ((9 * 0.3 + 100 * 2.5) * 1.8) / million,
    }),
    outcome: 'exact',
  },
];

tryRows('ways of serving', servings);

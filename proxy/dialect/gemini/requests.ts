import type { IncomingHttpHeaders } from 'node:http';
import { isRefusal, type Refusal, refuse } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/json.ts';
import { affinityOf, openingText } from '../affinity.ts';
import { readAnswer } from '../answer.ts';
import { asObject, firstRefusal, isGiven, readCount } from '../fields.ts';
import type { JsonBody } from '../json.ts';
import { meterNothing } from '../meter.ts';
import { type Edit, spliceBody } from '../splice.ts';
import { demandOf, startTally, type Tally } from '../tally.ts';
import type { Changes, Dialect, Facts, Reading, RouteAction } from '../types.ts';
import { countGenerate } from './demand.ts';
import { geminiFamily } from './family.ts';
import { type GeminiFields, readGeminiFields, spellingIn } from './fields.ts';
import { GeminiMeter } from './meter.ts';
import { countParts } from './parts.ts';
import { readThinking } from './thinking.ts';
import { geminiSearches, geminiUsage } from './usage.ts';

type CountRequest = (tally: Tally, value: JsonObject, fields: GeminiFields, model: string) => Refusal | null;

/** Reads any Gemini request: the model is in the path, and a body that names one too must agree. */
function readWith(count: CountRequest): Dialect['read'] {
  return (body: JsonBody, action: RouteAction, headers: IncomingHttpHeaders): Facts | Refusal => {
    const { value } = body;
    const fields = readGeminiFields();
    const model = action.model ?? '';
    const config = fields.object(value, 'generationConfig');
    const limit = readCount({ maxOutputTokens: fields.get(config, 'maxOutputTokens') }, 'maxOutputTokens');
    if (isRefusal(limit)) return limit;
    const thinking = readThinking(config, model, fields);
    if (isRefusal(thinking)) return thinking;
    const tally = startTally(body.tokens);
    const refusal = disagrees(value, model) ?? count(tally, value, fields, model) ?? fields.problem();
    if (refusal !== null) return refusal;
    const affinity = affinityOf(headers, value, ['cachedContent', 'cached_content'], () => {
      return openingText(fields.get(value, 'systemInstruction'), fields.list(value, 'contents')[0]);
    });
    return {
      model,
      stream: action.stream === true,
      maxOutputTokens: limit,
      thinking,
      demand: demandOf(tally),
      unjudged: [],
      wantsUsage: true,
      affinity,
    };
  };
}

function disagrees(request: JsonObject | null, model: string): Refusal | null {
  const named = request?.['model'];
  if (!isGiven(named) || named === model || named === `models/${model}`) return null;
  return refuse('invalid_request', 'The body’s model is not the one in the path; leave it out of the body.');
}

function rewrite(body: JsonBody, changes: Changes): Buffer {
  const { value } = body;
  const edits: Edit[] = [];
  if (changes.model !== undefined) edits.push(...modelEdits(value, changes.model));
  if (changes.maxOutputTokens !== undefined) {
    const outer = spellingIn(value, 'generationConfig');
    const field = spellingIn(asObject(value[outer]), 'maxOutputTokens');
    edits.push({ path: [outer, field], value: changes.maxOutputTokens });
  }
  if (changes.thinkingTokens !== undefined) edits.push(thinkingEdit(value, changes.thinkingTokens));
  return spliceBody(body, edits);
}

/** The edit for a lower budget of thinking, where the request has one. */
function thinkingEdit(value: JsonObject, tokens: number): Edit {
  const outer = spellingIn(value, 'generationConfig');
  const config = asObject(value[outer]);
  const field = spellingIn(config, 'thinkingConfig');
  const thinking = asObject(config?.[field]);
  return { path: [outer, field], value: { ...thinking, [spellingIn(thinking, 'thinkingBudget')]: tokens } };
}

/** The edits for a new model: the path carries it, and a body that repeats it must agree. */
function modelEdits(value: JsonObject, model: string): readonly Edit[] {
  const edits: Edit[] = [];
  const renamed = (named: string): string => (named.startsWith('models/') ? `models/${model}` : model);
  if (typeof value['model'] === 'string') edits.push({ path: ['model'], value: renamed(value['model']) });
  const outer = spellingIn(value, 'generateContentRequest');
  const inner = asObject(value[outer]);
  if (typeof inner?.['model'] === 'string') edits.push({ path: [outer, 'model'], value: renamed(inner['model']) });
  return edits;
}

function readUsage(body: Buffer): Reading {
  return readAnswer(body, (answer) => geminiUsage(asObject(answer['usageMetadata']), geminiSearches(answer)), 'modelVersion');
}

/** Gemini generateContent and streamGenerateContent. */
export const geminiGenerate: Dialect = {
  id: 'gemini.generateContent',
  family: geminiFamily,
  billed: true,
  generates: true,
  read: readWith((tally, value, fields) => {
    if (isGiven(fields.get(value, 'generateContentRequest')))
      return refuse('invalid_request', 'The field generateContentRequest belongs to countTokens; leave it out.');
    return countGenerate(tally, value, fields);
  }),
  rewrite,
  readUsage,
  meterStream: () => new GeminiMeter(),
  // Otherwise it streams one JSON array.
  streamsEvents: (query) => query.endsWith('alt=sse'),
};

/** Gemini token counting, which is not billed. */
export const geminiCountTokens: Dialect = {
  ...geminiGenerate,
  id: 'gemini.countTokens',
  billed: false,
  generates: false,
  read: readWith((tally, value, fields, model) => {
    const request = fields.object(value, 'generateContentRequest');
    return disagrees(request, model) ?? countGenerate(tally, request ?? value, fields);
  }),
  rewrite: (body, { model }) => rewrite(body, { model }),
  readUsage: (body) => readAnswer(body, () => null, 'modelVersion'),
  meterStream: meterNothing,
};

/** Gemini embedContent. */
export const geminiEmbed: Dialect = {
  ...geminiCountTokens,
  id: 'gemini.embedContent',
  billed: true,
  read: readWith((tally, value, fields) => {
    countParts(tally, fields.object(value, 'content'), fields);
    return null;
  }),
  readUsage,
};

/** Counts embeddings in one call. Each has a context of its own, so content of unknown size counts once for each. */
function countEach(tally: Tally, requests: readonly JsonObject[], fields: GeminiFields): void {
  let unknown = 0;
  for (const request of requests) {
    const one = startTally(0);
    countParts(one, fields.object(request, 'content'), fields);
    if (one.stored.size > 0) unknown += 1;
    countParts(tally, fields.object(request, 'content'), fields);
  }
  if (unknown < 2) return;
  tally.inputReads += unknown - 1;
  tally.toolTokens = Number.NaN;
}

/** Gemini batchEmbedContents, which the official SDK calls even for one text. */
export const geminiBatchEmbed: Dialect = {
  ...geminiEmbed,
  id: 'gemini.batchEmbedContents',
  read: readWith((tally, value, fields, model) => {
    const requests = fields.list(value, 'requests');
    countEach(tally, requests, fields);
    return firstRefusal(requests, (request) => disagrees(request, model));
  }),
  rewrite(body, { model }) {
    if (model === undefined) return body.bytes;
    const requests = readGeminiFields().list(body.value, 'requests');
    return spliceBody(body, [{ path: ['requests'], value: requests.map((request) => ({ ...request, model: `models/${model}` })) }]);
  },
};

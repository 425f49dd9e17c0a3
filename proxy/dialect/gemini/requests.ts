import type { IncomingHttpHeaders } from 'node:http';
import { isRefusal, type Refusal, refuse } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/json.ts';
import { affinityOf, openingText } from '../affinity.ts';
import { readAnswer } from '../answer.ts';
import { asObject, badField, isGiven, readCount } from '../fields.ts';
import type { JsonBody } from '../json.ts';
import { meterNothing } from '../meter.ts';
import { type Edit, spliceBody } from '../splice.ts';
import { demandOf, startTally, type Tally } from '../tally.ts';
import type { Changes, Dialect, Facts, Reading, RouteAction } from '../types.ts';
import { countGenerate, countParts } from './demand.ts';
import { geminiFamily } from './family.ts';
import { type GeminiFields, readGeminiFields, spellingIn } from './fields.ts';
import { GeminiMeter } from './meter.ts';
import { geminiSearches, geminiUsage } from './usage.ts';

type CountRequest = (tally: Tally, value: JsonObject, fields: GeminiFields, model: string) => Refusal | null;

/** Reads any Gemini request: the model is in the path, and a body that names one too must agree. */
function readWith(count: CountRequest): Dialect['read'] {
  return (body: JsonBody, action: RouteAction, headers: IncomingHttpHeaders): Facts | Refusal => {
    const { value } = body;
    const fields = readGeminiFields();
    const model = action.model ?? '';
    const inner = asObject(fields.get(value, 'generateContentRequest'));
    const config = fields.get(value, 'generationConfig');
    if (isGiven(config) && asObject(config) === null) return badField('generationConfig', 'an object');
    const limit = readCount({ maxOutputTokens: fields.get(asObject(config), 'maxOutputTokens') }, 'maxOutputTokens');
    if (isRefusal(limit)) return limit;
    const tally = startTally(body.tokens);
    const refusal = disagrees(value, model) ?? disagrees(inner, model) ?? count(tally, inner ?? value, fields, model) ?? fields.problem();
    if (refusal !== null) return refusal;
    const affinity = affinityOf(headers, value, ['cachedContent', 'cached_content'], () => {
      return openingText(fields.get(value, 'systemInstruction'), fields.list(value, 'contents')[0]);
    });
    return {
      model,
      stream: action.stream === true,
      maxOutputTokens: limit,
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
  return spliceBody(body, edits);
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
  read: readWith(countGenerate),
  rewrite,
  readUsage,
  meterStream: () => new GeminiMeter(),
};

/** Gemini token counting, which is not billed. */
export const geminiCountTokens: Dialect = {
  ...geminiGenerate,
  id: 'gemini.countTokens',
  billed: false,
  generates: false,
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
    countParts(tally, fields.get(value, 'content'), fields);
    return null;
  }),
  readUsage,
};

/** Gemini batchEmbedContents, which the official SDK calls even for one text. */
export const geminiBatchEmbed: Dialect = {
  ...geminiEmbed,
  id: 'gemini.batchEmbedContents',
  read: readWith((tally, value, fields, model) => {
    for (const request of fields.list(value, 'requests').map(asObject)) {
      const refusal = request === null ? badField('requests', 'a list of objects') : disagrees(request, model);
      if (refusal !== null) return refusal;
      countParts(tally, fields.get(request, 'content'), fields);
    }
    return null;
  }),
  rewrite(body, { model }) {
    if (model === undefined) return body.bytes;
    const requests = readGeminiFields().list(body.value, 'requests');
    return spliceBody(body, [
      { path: ['requests'], value: requests.map((request) => ({ ...asObject(request), model: `models/${model}` })) },
    ]);
  },
};

import type { IncomingHttpHeaders } from 'node:http';
import { isRefusal, type Refusal } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/json.ts';
import { affinityOf, openingText } from '../affinity.ts';
import { asObject, badField, type FieldRules, isGiven, readCount, readTarget, refuseShapes, type Shapes, shapesOf } from '../fields.ts';
import type { JsonBody } from '../json.ts';
import { type Edit, spliceBody } from '../splice.ts';
import { demandOf, startTally } from '../tally.ts';
import type { Changes, Dialect, Facts } from '../types.ts';
import { maxChoices, openaiChat, readChoices } from './chat.ts';
import { openaiFamily, otherModels } from './family.ts';
import { freeInCompletions, judgeFields } from './judged.ts';
import { countShared, sharedEdits, sharedShapes } from './shared.ts';

const shapes: Shapes = shapesOf({ ...sharedShapes, echo: 'true or false', suffix: 'text', stream_options: 'an object' });
const counts = ['max_tokens', 'n', 'best_of'];
const rules: FieldRules = {
  governing: new Set(['model', 'stream', 'prompt', ...otherModels, ...counts, ...shapes.keys()]),
  otherModels,
};

/** "The maximum number of tokens" of an answer is 16 if the request names none: platform.openai.com/docs/api-reference/completions. */
const defaultTokens = 16;

/** `fim`: Mistral's, which has no default limit and sends usage unasked. */
function read(body: JsonBody, headers: IncomingHttpHeaders, kind: 'completion' | 'fim'): Facts | Refusal {
  const { value } = body;
  const target = readTarget(body, rules);
  if (isRefusal(target)) return target;
  // 0 with `echo` scores the prompt.
  const limit = value['max_tokens'] === 0 ? 0 : readCount(value, 'max_tokens');
  if (isRefusal(limit)) return limit;
  const choices = readChoices(value);
  if (isRefusal(choices)) return choices;
  const prompts = countPrompts(value['prompt']);
  if (isRefusal(prompts)) return prompts;
  const refusal = refuseShapes(value, shapes);
  if (refusal !== null) return refusal;
  const tally = startTally(body.tokens);
  countShared(tally, value);
  tally.anyOutput = false;
  tally.choices = prompts * choices;
  // Some servers count the prompt that they repeat as output.
  if (value['echo'] === true) tally.extraOutputTokens += body.tokens * tally.choices;
  return {
    ...target,
    maxOutputTokens: kind === 'fim' ? limit : (limit ?? defaultTokens),
    unjudged: judgeFields(tally, value, { governing: rules.governing, free: freeInCompletions }),
    demand: demandOf(tally),
    wantsUsage: kind === 'fim' || asObject(value['stream_options'])?.['include_usage'] === true,
    affinity: affinityOf(headers, value, [], () => openingText(value['prompt'])),
  };
}

const wanted = `text, token numbers, or an array of at most ${maxChoices} of these`;

/** How many prompts there are: each gets its own answers. The digits of token numbers bound them. */
function countPrompts(prompt: unknown): number | Refusal {
  if (!isGiven(prompt) || typeof prompt === 'string') return 1;
  if (!Array.isArray(prompt)) return badField('prompt', wanted);
  if (isTokens(prompt)) return 1;
  const isList = prompt.length <= maxChoices && prompt.every((each) => typeof each === 'string' || isTokens(each));
  return isList ? prompt.length : badField('prompt', wanted);
}

function isTokens(value: unknown): boolean {
  return Array.isArray(value) && value.every((token) => typeof token === 'number');
}

function limitEdits(value: JsonObject, limit: number | undefined): readonly Edit[] {
  return limit === undefined || value['max_tokens'] === limit ? [] : [{ path: ['max_tokens'], value: limit }];
}

/** Writes the default limit too: servers differ in what they do without one. */
function rewrite(body: JsonBody, changes: Changes): Buffer {
  const limit = changes.maxOutputTokens ?? (isGiven(body.value['max_tokens']) ? undefined : defaultTokens);
  const edits: Edit[] = [...sharedEdits(body.value, changes), ...limitEdits(body.value, limit)];
  if (changes.includeUsage === true) edits.push({ path: ['stream_options', 'include_usage'], value: true });
  return spliceBody(body, edits);
}

/** OpenAI's text completions, as chat answers: the same usage, the same events. */
export const openaiCompletions: Dialect = {
  ...openaiChat,
  id: 'openai.completions',
  family: openaiFamily,
  read: (body, _action, headers) => read(body, headers, 'completion'),
  rewrite,
};

/** Mistral's completion between a prompt and a suffix (docs.mistral.ai/api/endpoint/fim). */
export const mistralFim: Dialect = {
  ...openaiCompletions,
  id: 'mistral.fim',
  read: (body, _action, headers) => read(body, headers, 'fim'),
  rewrite: (body, changes) => spliceBody(body, [...sharedEdits(body.value, changes), ...limitEdits(body.value, changes.maxOutputTokens)]),
};

import type { JsonObject } from '../../core/json.ts';
import { asObject, isGiven } from '../dialect/fields.ts';
import type { Facts } from '../dialect/types.ts';
import type { Reachable } from './send.ts';

/**
 * Models that think without showing it, by any name that a gateway gives them. Open models stream their thoughts, and the bytes
 * count. OpenAI: "not visible via the API" (developers.openai.com/api/docs/guides/reasoning). Claude since 5 thinks by default:
 * "billed as output tokens, even when the thinking text isn’t returned" (platform.claude.com/docs/en/build-with-claude/thinking).
 * Gemini: "the full thought tokens … despite only the summary being output" (ai.google.dev/gemini-api/docs/thinking). Assumed of
 * Grok, Magistral, Sonar and Nova, and of any name of a newest model.
 */
const thinksUnseen =
  /(^|[/.:_~])(o\d|gpt-([5-9]|[a-z-]*latest)|codex|gemini-(2\.5|[3-9]|[a-z-]*latest)|claude-(fable|mythos|(opus|sonnet|haiku)-([5-9]|latest))|grok|magistral|sonar|nova)/i;

/**
 * Fields by which a server leaves generated tokens out of its stream: thoughts (OpenRouter and vLLM `include_reasoning`, Groq
 * `reasoning_format: "hidden"`), members of the answer (llama.cpp `response_fields`), the text that ended it, and special tokens that
 * a bias forces (vLLM and SGLang leave them out: `skip_special_tokens`).
 */
const hiding = [
  ...['reasoning', 'include_reasoning', 'separate_reasoning', 'stream_reasoning', 'reasoning_format', 'response_fields', 'include'],
  ...['stop', 'stop_sequences', 'stop_token_ids', 'stop_regex', 'ignore_eos', 'logit_bias', 'allowed_token_ids'],
];
const hidingGemini = ['stopSequences', 'stop_sequences'];

/** A request and what its dialect has read in it. */
interface Asked {
  readonly facts: Facts;
  /** The body as a JSON value. */
  readonly request: JsonObject;
}

/**
 * True if all output that the provider could bill passes in the stream as text: one answer of a model that does not reason
 * unseen, without prediction, hosted tools, media or anything that nobody has judged. Only then do the bytes bound the output.
 */
export function streamsAll({ facts, request }: Asked, { price, upstreamModel }: Reachable): boolean {
  const { stream, demand, thinking, unjudged } = facts;
  const reasons =
    price?.reasonsByDefault === true || thinksUnseen.test(upstreamModel) || (thinking !== undefined && thinking.kind !== 'off');
  const hosted = demand.inputReads > 1 || demand.summaries !== undefined || demand.openCalls !== undefined || hasFees(demand.fees);
  const speaks = price?.rates.outputAudio !== undefined || price?.rates.outputImage !== undefined;
  const media = demand.outputs.length > 0 || (demand.anyOutput && speaks);
  const unseen = demand.extraOutputTokens > 0 || demand.features.some((name) => name === 'prediction' || name === 'hostedTools');
  const plain = stream && demand.choices === 1 && unjudged.length === 0 && !hides(request);
  return plain && !reasons && !hosted && !media && !unseen;
}

function hides(request: JsonObject): boolean {
  const config = asObject(request['generationConfig'] ?? request['generation_config']) ?? {};
  return hiding.some((name) => isGiven(request[name])) || hidingGemini.some((name) => isGiven(config[name]));
}

function hasFees(fees: Facts['demand']['fees']): boolean {
  return Object.values(fees).some((count) => count !== 0);
}

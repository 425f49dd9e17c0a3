import { type JsonObject, parseJson } from '../../../core/json.ts';
import type { Usage } from '../../../core/price/types.ts';
import { type AnswerNotes, reading, servedName } from '../answer.ts';
import { asArray, asObject, isGiven } from '../fields.ts';
import { EventMeter } from '../meter.ts';
import { eventData, type Fate, memberFinder, SseEnds } from '../sse.ts';
import type { Reading } from '../types.ts';
import { namedCost } from '../usage.ts';
import { chatUsage } from './usage.ts';

const hasUsage = memberFinder('usage');
const hasError = memberFinder('error');
const hasFinish = memberFinder('finish_reason');
const shortEvent = 64;

/** Meters a chat stream: chunks until `[DONE]`, with `usage` in the last chunk if requested. */
export class ChatMeter extends EventMeter {
  #usage: Usage | null = null;
  #notes: AnswerNotes = {};
  #finished = false;
  readonly #usageChunk: Fate;

  /** `usageChunk`: whether to keep the chunk that holds only usage. */
  constructor(usageChunk: Fate) {
    super(new SseEnds());
    this.#usageChunk = usageChunk;
  }

  reading(): Reading {
    return { ...reading(this.#usage, this.servedModel), ...this.#notes };
  }

  override get ended(): boolean {
    return this.complete || this.#finished;
  }

  protected onEvent(event: Buffer): Fate {
    const text = event.toString('latin1');
    if (event.length <= shortEvent) {
      if (eventData(event) === '[DONE]') this.complete = true;
      if (this.complete || text.startsWith(':')) return 'keep';
    } else if (this.phase === 'content' && !hasUsage(text) && !hasError(text) && !(this.outputTokens !== null && hasFinish(text))) {
      return 'keep';
    }
    const chunk = asObject(parseJson(eventData(event) ?? event.toString('utf8')));
    return chunk === null ? 'keep' : this.#onChunk(chunk);
  }

  #onChunk(chunk: JsonObject): Fate {
    this.servedModel ??= servedName(chunk['model']);
    const choices = asArray(chunk['choices']);
    const counted = chatUsage(chunk['usage'], chunk['service_tier']);
    if (counted !== null) {
      this.#usage = counted;
      this.#notes = namedCost(chunk['usage']);
      this.complete ||= choices.every(isFinished);
    }
    const error = chunk['error'];
    if (isGiven(error)) {
      this.noteError({ error });
      return 'keep';
    }
    this.#finished ||= choices.length > 0 && choices.every(isFinished);
    if (choices.length > 0) this.noteContent();
    return counted !== null && choices.length === 0 ? this.#usageChunk : 'keep';
  }
}

/** True for the last chunk of an answer: some servers send usage with every chunk. */
function isFinished(choice: unknown): boolean {
  return isGiven(asObject(choice)?.['finish_reason']);
}

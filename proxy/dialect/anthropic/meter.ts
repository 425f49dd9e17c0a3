import { type JsonObject, parseJson } from '../../../core/json.ts';
import { type AnswerNotes, reading, servedName } from '../answer.ts';
import { asObject } from '../fields.ts';
import { EventMeter } from '../meter.ts';
import { eventData, type Fate, memberFinder, SseEnds } from '../sse.ts';
import type { Reading } from '../types.ts';
import { namedCost } from '../usage.ts';
import { type AnthropicCounts, anthropicUsage, mergeAnthropic, noteContainer, noteResults } from './usage.ts';

const hasUsage = memberFinder('usage');
const hasError = memberFinder('error');
const shortEvent = 256;

/** Meters a Messages stream: usage begins with `message_start`, and `message_delta` corrects it. */
export class AnthropicMeter extends EventMeter {
  readonly #counts: AnthropicCounts = new Map();
  /** True once a `message_delta` named output: before it, the output is what it was at the start. */
  #isCounted = false;
  #hasStopped = false;
  #notes: AnswerNotes = {};

  constructor() {
    super(new SseEnds());
  }

  override get ended(): boolean {
    return this.#hasStopped;
  }

  reading(): Reading {
    return { ...reading(anthropicUsage(this.#counts), this.servedModel), ...this.#notes };
  }

  protected onEvent(event: Buffer): Fate {
    const text = event.toString('latin1');
    noteResults(this.#counts, text);
    if (this.phase !== 'content' || isRelevant(text)) {
      const value = asObject(parseJson(eventData(event) ?? event.toString('utf8')));
      if (value !== null) this.#onValue(value);
    }
    return 'keep';
  }

  #onValue(value: JsonObject): void {
    switch (value['type']) {
      case 'message_start': {
        const message = asObject(value['message']);
        this.servedModel ??= servedName(message?.['model']);
        noteContainer(this.#counts, message);
        mergeAnthropic(this.#counts, message?.['usage']);
        return;
      }
      case 'message_delta':
        mergeAnthropic(this.#counts, value['usage']);
        noteContainer(this.#counts, asObject(value['delta']));
        this.#notes = namedCost(value['usage']);
        this.#isCounted ||= typeof asObject(value['usage'])?.['output_tokens'] === 'number';
        // The first content event of an answer without any block.
        this.noteContent();
        return;
      case 'message_stop':
        this.#hasStopped = true;
        this.complete = this.#isCounted;
        return;
      case 'ping':
        return;
      default:
    }
    if (value['type'] === 'error' || asObject(value['error']) !== null) this.noteError(value);
    else this.noteContent();
  }
}

function isRelevant(event: string): boolean {
  if (event.length <= shortEvent && event.includes('message_stop"')) return true;
  return hasUsage(event) || hasError(event);
}

import { type JsonObject, parseJson } from '../../../../core/json.ts';
import type { Usage } from '../../../../core/price/types.ts';
import { type AnswerNotes, generatedTokens, reading, servedName } from '../../answer.ts';
import { asObject, asString } from '../../fields.ts';
import { EventMeter } from '../../meter.ts';
import { eventData, type Fate, memberFinder, SseEnds } from '../../sse.ts';
import type { Reading } from '../../types.ts';
import { responseNotes, responseUsage } from '../usage.ts';

const hasUsage = memberFinder('usage');
const echo = /^event: response\.(?:created|queued|in_progress)\r?\n/;
const isLast = /"response\.(?:completed|incomplete|failed)"/;
const preambleTypes = new Set(['response.created', 'response.queued', 'response.in_progress']);
const lastTypes = new Set(['response.completed', 'response.incomplete', 'response.failed']);

/** Meters a Responses stream, whose last event carries the usage. */
export class ResponsesMeter extends EventMeter {
  #usage: Usage | null = null;
  #notes: AnswerNotes = {};

  constructor() {
    super(new SseEnds());
  }

  reading(): Reading {
    return { ...reading(this.#usage, this.servedModel), ...this.#notes };
  }

  /** Only deltas and added items count at first, because later events repeat them. The last event holds the whole output. */
  protected override generated(event: unknown): number {
    const value = asObject(event) ?? {};
    const type = asString(value['type']) ?? '';
    if (lastTypes.has(type)) return Math.max(0, generatedTokens(asObject(value['response'])?.['output']) - (this.outputTokens ?? 0));
    if (type.endsWith('.delta')) return generatedTokens({ delta: value['delta'] });
    return type === 'response.output_item.added' ? generatedTokens({ item: value['item'] }) : 0;
  }

  protected onEvent(event: Buffer): Fate {
    const text = event.toString('latin1');
    if (this.phase === 'content' && !hasUsage(text) && !text.includes('error"') && !isLast.test(text)) return 'keep';
    // They repeat the whole request and add nothing.
    if (echo.test(text)) return 'keep';
    const value = asObject(parseJson(eventData(event) ?? event.toString('utf8')));
    if (value !== null) this.#onValue(value);
    return 'keep';
  }

  #onValue(value: JsonObject): void {
    const type = asString(value['type']) ?? '';
    const response = asObject(value['response']);
    this.servedModel ??= servedName(response?.['model']);
    if (lastTypes.has(type)) {
      this.complete = true;
      this.#usage = responseUsage(response) ?? this.#usage;
      if (response !== null) this.#notes = responseNotes(response);
    }
    const failure = failureOf(type, value, response);
    if (failure !== null) this.noteError({ error: failure });
    else if (type !== '' && !preambleTypes.has(type)) this.noteContent();
  }
}

/** Finds an error: an object in the event, flat in the event itself, or within a failed response. */
function failureOf(type: string, value: JsonObject, response: JsonObject | null): JsonObject | null {
  if (type === 'response.failed') return asObject(response?.['error']) ?? { message: 'The response failed.', code: null };
  if (type === 'error')
    return asObject(value['error']) ?? { message: value['message'], type: value['code'], param: value['param'], code: value['code'] };
  return type === '' ? asObject(value['error']) : null;
}

import { type JsonObject, parseJson } from '../../../core/json.ts';
import { reading, servedName } from '../answer.ts';
import { asArray, asObject } from '../fields.ts';
import { EventMeter } from '../meter.ts';
import { eventData, type Fate } from '../sse.ts';
import type { Framing, Reading } from '../types.ts';
import { GeminiEnds } from './ends.ts';
import { geminiSearches, geminiUsage } from './usage.ts';

/** Meters a Gemini stream, as server-sent events or, without `alt=sse`, as one JSON array. Usage repeats with every chunk. */
export class GeminiMeter extends EventMeter {
  readonly #ends: GeminiEnds;
  #metadata: Record<string, unknown> | null = null;
  readonly #searches = new Set<string>();
  #finished = false;

  constructor() {
    const ends = new GeminiEnds();
    super(ends);
    this.#ends = ends;
  }

  override get framing(): Framing {
    return this.#ends.framing;
  }

  override get ended(): boolean {
    return this.#finished;
  }

  reading(): Reading {
    return reading(geminiUsage(this.#metadata, this.#searches), this.servedModel);
  }

  protected onEvent(event: Buffer): Fate {
    const text = this.dataOf(event) ?? event.toString('utf8');
    const chunk = text.startsWith('{') ? asObject(parseJson(text)) : null;
    if (chunk !== null) this.#onChunk(chunk);
    return 'keep';
  }

  protected override dataOf(event: Buffer): string | null {
    if (this.framing === 'sse') return eventData(event);
    const element = event.toString('utf8').replace(/^[\s[,]+/, '');
    // The bracket that ends the array is an event too.
    return element.startsWith('{') ? element : null;
  }

  #onChunk(chunk: JsonObject): void {
    this.servedModel ??= servedName(chunk['modelVersion']);
    const latest = asObject(chunk['usageMetadata']);
    if (latest !== null) this.#metadata = merged(this.#metadata, latest);
    for (const search of geminiSearches(chunk)) this.#searches.add(search);
    if (asObject(chunk['error']) === null) this.#onAnswer(chunk);
    else this.noteError({ error: chunk['error'] });
    this.complete = this.#finished && geminiUsage(this.#metadata, this.#searches) !== null;
  }

  #onAnswer(chunk: JsonObject): void {
    const candidates = asArray(chunk['candidates']);
    const blocked = asObject(chunk['promptFeedback'])?.['blockReason'] !== undefined;
    this.#finished ||= blocked || candidates.some((candidate) => asObject(candidate)?.['finishReason'] !== undefined);
    if (blocked || candidates.length > 0) this.noteContent();
  }
}

/** Overwrites the figures that the latest chunk names. Figures are running totals, and a chunk may omit some. */
function merged(before: Record<string, unknown> | null, latest: JsonObject): Record<string, unknown> {
  const metadata = before ?? {};
  for (const name in latest) if (latest[name] !== null) metadata[name] = latest[name];
  return metadata;
}

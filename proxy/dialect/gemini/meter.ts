import { parseJson, reading, servedName } from '../answer.ts';
import { asArray, asObject, type JsonObject } from '../fields.ts';
import { eventData, type Fate, type FindEnd, splitEvents, sseEnds } from '../sse.ts';
import type { Framing, StreamMeter } from '../types.ts';
import { elementEnds } from './json-array.ts';
import { geminiSearches, geminiUsage } from './usage.ts';

/** Meters a Gemini stream, as server-sent events or, without `alt=sse`, as one JSON array. Usage repeats with every chunk. */
export function meterGemini(): StreamMeter {
  let metadata: Record<string, unknown> | null = null;
  let searches = 0;
  let servedModel: string | null = null;
  let errorBody: string | undefined;
  let phase: StreamMeter['phase'] = 'preamble';
  let finished = false;
  let framing: Framing | undefined;
  let ends: FindEnd | undefined;

  const findEnd: FindEnd = (chunk, from) => {
    if (ends === undefined) {
      const first = chunk.subarray(from).find((byte) => byte > 0x20);
      if (first === undefined) return -1;
      framing = first === 0x5b ? 'array' : 'sse';
      ends = framing === 'array' ? elementEnds() : sseEnds();
    }
    return ends(chunk, from);
  };

  const onEvent = (event: Buffer): Fate => {
    const text = framing === 'array' ? event.toString('utf8').replace(/^[\s[,]+/, '') : (eventData(event) ?? event.toString('utf8'));
    const chunk = text.startsWith('{') ? asObject(parseJson(text)) : null;
    if (chunk !== null) onChunk(chunk);
    return 'keep';
  };

  const onChunk = (chunk: JsonObject): void => {
    servedModel ??= servedName(chunk['modelVersion']);
    const latest = asObject(chunk['usageMetadata']);
    if (latest !== null) metadata = merged(metadata, latest);
    searches = Math.max(searches, geminiSearches(chunk));
    if (asObject(chunk['error']) !== null) {
      errorBody ??= JSON.stringify({ error: chunk['error'] });
      if (phase === 'preamble') phase = 'error';
      return;
    }
    const candidates = asArray(chunk['candidates']);
    const blocked = asObject(chunk['promptFeedback'])?.['blockReason'] !== undefined;
    finished ||= blocked || candidates.some((candidate) => asObject(candidate)?.['finishReason'] !== undefined);
    if (phase === 'preamble' && (blocked || candidates.length > 0)) phase = 'content';
  };

  return {
    ...splitEvents(findEnd, onEvent),
    get framing() {
      return framing ?? 'sse';
    },
    get phase() {
      return phase;
    },
    get errorBody() {
      return errorBody;
    },
    get complete() {
      return finished && geminiUsage(metadata, 0) !== null;
    },
    reading: () => reading(geminiUsage(metadata, searches), servedModel),
  };
}

/** Overwrites what the latest chunk names; figures are running totals, and a chunk may leave some out. */
function merged(before: Record<string, unknown> | null, latest: JsonObject): Record<string, unknown> {
  const metadata = before ?? {};
  for (const name in latest) if (latest[name] !== null) metadata[name] = latest[name];
  return metadata;
}

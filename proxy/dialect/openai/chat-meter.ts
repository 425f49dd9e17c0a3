import type { Usage } from '../../../core/price/types.ts';
import { parseJson, reading, servedName } from '../answer.ts';
import { asArray, asObject, type JsonObject } from '../fields.ts';
import { eventData, type Fate, memberFinder, splitEvents, sseEnds } from '../sse.ts';
import type { StreamMeter } from '../types.ts';
import { chatUsage } from './usage.ts';

const hasUsage = memberFinder('usage');
const hasError = memberFinder('error');
const shortEvent = 64;

/** Meters a chat stream: chunks until `[DONE]`, the last but one with `usage` where it was asked for. */
export function meterChat(hideUsage: boolean): StreamMeter {
  let usage: Usage | null = null;
  let servedModel: string | null = null;
  let errorBody: string | undefined;
  let phase: StreamMeter['phase'] = 'preamble';
  let complete = false;

  const onEvent = (event: Buffer): Fate => {
    const text = event.toString('latin1');
    if (event.length <= shortEvent) {
      if (text.includes('[DONE]')) complete = true;
      if (complete || text.startsWith(':')) return 'keep';
    } else if (phase === 'content' && !hasUsage(text) && !hasError(text)) {
      return 'keep';
    }
    const chunk = asObject(parseJson(eventData(event) ?? event.toString('utf8')));
    return chunk === null ? 'keep' : onChunk(chunk);
  };

  const onChunk = (chunk: JsonObject): Fate => {
    servedModel ??= servedName(chunk['model']);
    const choices = asArray(chunk['choices']);
    const counted = chatUsage(chunk['usage']);
    if (counted !== null) {
      usage = counted;
      complete ||= choices.every(isFinished);
    }
    const error = chunk['error'];
    if (error !== undefined && error !== null) {
      errorBody ??= JSON.stringify({ error });
      if (phase === 'preamble') phase = 'error';
      return 'keep';
    }
    if (choices.length > 0 && phase === 'preamble') phase = 'content';
    return hideUsage && counted !== null && choices.length === 0 ? 'drop' : 'keep';
  };

  return {
    ...splitEvents(sseEnds(), onEvent),
    framing: 'sse',
    get phase() {
      return phase;
    },
    get errorBody() {
      return errorBody;
    },
    get complete() {
      return complete;
    },
    reading: () => reading(usage, servedModel),
  };
}

/** Some servers send usage with every chunk: only with the last has the answer ended. */
function isFinished(choice: unknown): boolean {
  const reason = asObject(choice)?.['finish_reason'];
  return reason !== undefined && reason !== null;
}

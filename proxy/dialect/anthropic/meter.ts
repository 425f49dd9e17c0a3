import { parseJson, reading, servedName } from '../answer.ts';
import { asObject, type JsonObject } from '../fields.ts';
import { eventData, type Fate, memberFinder, splitEvents, sseEnds } from '../sse.ts';
import type { StreamMeter } from '../types.ts';
import { type AnthropicCounts, anthropicUsage, mergeAnthropic } from './usage.ts';

const hasUsage = memberFinder('usage');
const hasError = memberFinder('error');
const shortEvent = 256;

/** Meters a Messages stream: usage begins with `message_start`, and `message_delta` corrects it. */
export function meterAnthropic(): StreamMeter {
  const counts: AnthropicCounts = new Map();
  let servedModel: string | null = null;
  let errorBody: string | undefined;
  let phase: StreamMeter['phase'] = 'preamble';
  let complete = false;

  const onEvent = (event: Buffer): Fate => {
    if (phase !== 'content' || isTelling(event.toString('latin1'))) {
      const data = eventData(event);
      const value = asObject(parseJson(data ?? event.toString('utf8')));
      if (value !== null) onValue(value);
    }
    return 'keep';
  };

  const onValue = (value: JsonObject): void => {
    switch (value['type']) {
      case 'message_start': {
        const message = asObject(value['message']);
        servedModel ??= servedName(message?.['model']);
        mergeAnthropic(counts, message?.['usage']);
        return;
      }
      case 'message_delta':
        mergeAnthropic(counts, value['usage']);
        // An answer without any block has its first news here.
        if (phase === 'preamble') phase = 'content';
        return;
      case 'message_stop':
        complete = true;
        return;
      case 'ping':
        return;
      default:
    }
    if (value['type'] === 'error' || asObject(value['error']) !== null) {
      errorBody ??= JSON.stringify(value);
      if (phase === 'preamble') phase = 'error';
    } else if (phase === 'preamble') {
      phase = 'content';
    }
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
    reading: () => reading(anthropicUsage(counts), servedModel),
  };
}

function isTelling(event: string): boolean {
  if (event.length <= shortEvent && event.includes('message_stop"')) return true;
  return hasUsage(event) || hasError(event);
}

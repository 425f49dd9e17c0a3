import type { Usage } from '../../../core/price/types.ts';
import { parseJson, reading, servedName } from '../answer.ts';
import { asObject, type JsonObject } from '../fields.ts';
import { eventData, type Fate, memberFinder, splitEvents, sseEnds } from '../sse.ts';
import type { StreamMeter } from '../types.ts';
import { responseUsage } from './usage.ts';

const hasUsage = memberFinder('usage');
const echo = /^event: response\.(?:created|queued|in_progress)\r?\n/;
const preambleTypes = new Set(['response.created', 'response.queued', 'response.in_progress']);
const lastTypes = new Set(['response.completed', 'response.incomplete', 'response.failed']);

/** Meters a Responses stream: usage comes in the one event that ends it. */
export function meterResponses(): StreamMeter {
  let usage: Usage | null = null;
  let servedModel: string | null = null;
  let errorBody: string | undefined;
  let phase: StreamMeter['phase'] = 'preamble';
  let complete = false;

  const onEvent = (event: Buffer): Fate => {
    const text = event.toString('latin1');
    if (phase === 'content' && !hasUsage(text) && !text.includes('error"')) return 'keep';
    // They repeat the whole request, and tell nothing.
    if (echo.test(text)) return 'keep';
    const data = eventData(event);
    const value = data === null ? asObject(parseJson(event.toString('utf8'))) : asObject(parseJson(data));
    if (value !== null) onValue(value);
    return 'keep';
  };

  const onValue = (value: JsonObject): void => {
    const type = typeof value['type'] === 'string' ? value['type'] : '';
    const response = asObject(value['response']);
    servedModel ??= servedName(response?.['model']);
    if (lastTypes.has(type)) {
      complete = true;
      usage = responseUsage(response) ?? usage;
    }
    const failure = failureOf(type, value, response);
    if (failure !== null) {
      errorBody ??= JSON.stringify({ error: failure });
      if (phase === 'preamble') phase = 'error';
    } else if (phase === 'preamble' && type !== '' && !preambleTypes.has(type)) {
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
    reading: () => reading(usage, servedModel),
  };
}

/** An error comes as an object, flat in the event itself, within a failed response, or bare. */
function failureOf(type: string, value: JsonObject, response: JsonObject | null): JsonObject | null {
  if (type === 'response.failed') return asObject(response?.['error']) ?? { message: 'The response failed.', code: null };
  if (type === 'error')
    return asObject(value['error']) ?? { message: value['message'], type: value['code'], param: value['param'], code: value['code'] };
  return type === '' ? asObject(value['error']) : null;
}

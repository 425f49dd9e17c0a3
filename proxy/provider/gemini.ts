import { isObject, type JsonObject, scalarText } from '../../core/json.ts';
import type { Overhead, PictureSize } from '../../core/price/demand.ts';
import { deadlineOf, parseDuration } from './deadline.ts';
import { readError, statusInCode } from './error-body.ts';
import { refusals } from './error-cost.ts';
import type { ErrorAnswer, Provider, Verdict } from './types.ts';
import { disabled, modelCooldown, overloaded } from './verdict.ts';

const day = 24 * 3600 * 1000;
/** `google.rpc.ErrorInfo.reason`s that mean an unusable key: googleapis/googleapis google/api/error_reason.proto. */
const keyReasons = new Set([
  'API_KEY_INVALID',
  'API_KEY_SERVICE_BLOCKED',
  'API_KEY_IP_ADDRESS_BLOCKED',
  'CONSUMER_INVALID',
  'CONSUMER_SUSPENDED',
  'ACCESS_TOKEN_EXPIRED',
  'ACCOUNT_STATE_INVALID',
]);
/** Matched only at the start: the rest of a message may quote the caller. */
const leakedMessage = /^Your API key was reported as leaked/;

/** Classifies Gemini's errors. An invalid key gives 400, not 401. Limits belong to a project and a model; `details` carry QuotaFailure and RetryInfo. */
function classify(answer: ErrorAnswer): Verdict {
  const error = readError(answer.body);
  const status = answer.status === 200 ? statusInCode(error) : answer.status;
  const details = Array.isArray(error.object['details']) ? error.object['details'].filter(isObject) : [];
  const reason = details.map((detail) => detail['reason']).find((value) => typeof value === 'string' && keyReasons.has(value));

  if (status === 401 || reason !== undefined || (status === 403 && leakedMessage.test(error.message))) {
    return { kind: 'unauthorized', code: reason === undefined ? `http_${status}` : scalarText(reason) };
  }
  if (status >= 500) return overloaded(`http_${status}`, { deadline: retryAt(details, answer), nowMs: answer.nowMs });
  if (status === 402) return disabled('http_402', null);
  return status === 429 ? limited(details, error.message, answer) : { kind: 'caller', code: `http_${status}` };
}

function limited(details: readonly JsonObject[], message: string, answer: ErrorAnswer): Verdict {
  const nowMs = answer.nowMs;
  const retryAtMs = retryAt(details, answer);
  const until = (deadline: number) => ({ deadline: Math.max(deadline, retryAtMs ?? 0), nowMs });
  const violations = details.flatMap((detail) => (Array.isArray(detail['violations']) ? detail['violations'].filter(isObject) : []));

  if (isOfSearch(violations, message)) return { kind: 'misfit', code: 'quota_search' };
  // A limit of 0: this project may not use this model, so the next attempt is tomorrow.
  if (violations.some((violation) => violation['quotaValue'] === '0') || / limit: 0(?:,|\s|$)/.test(message)) {
    return modelCooldown('quota_zero', until(nowMs + day));
  }
  if (violations.some((violation) => scalarText(violation['quotaId']).includes('PerDay'))) {
    return modelCooldown('quota_per_day', until(nextPacificMidnight(nowMs)));
  }
  return modelCooldown('quota_per_minute', { deadline: retryAtMs, nowMs });
}

/**
 * True if every quota that is used up is one of grounding (`search_grounding_request_per_project_per_day_per_user`): it limits calls
 * that search, and this project may have none (ai.google.dev/gemini-api/docs/pricing). Calls without search are not limited.
 */
function isOfSearch(violations: readonly JsonObject[], message: string): boolean {
  const named = violations.map((violation) => `${violation['quotaId']} ${violation['quotaMetric']}`);
  const quotas = named.length > 0 ? named : (message.match(/Quota exceeded for metric: [^\s,]+/g) ?? []);
  return quotas.length > 0 && quotas.every((quota) => /grounding/i.test(quota));
}

/** The later of RetryInfo and the headers. */
function retryAt(details: readonly JsonObject[], answer: ErrorAnswer): number | null {
  const delays = details.map((detail) => parseDuration(scalarText(detail['retryDelay'] ?? ''))).filter((ms) => ms > 0);
  const latest = Math.max(deadlineOf(answer.headers, answer.nowMs) ?? 0, ...delays.map((ms) => answer.nowMs + Math.ceil(ms)));
  return latest === 0 ? null : latest;
}

/** Daily quotas reset at midnight Pacific time (ai.google.dev/gemini-api/docs/rate-limits). On a day with a clock change, this is off by an hour. */
function nextPacificMidnight(nowMs: number): number {
  const clock = new Intl.DateTimeFormat('en-GB', {
    timeZone: 'America/Los_Angeles',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  });
  const [hours = 0, minutes = 0, seconds = 0] = clock.format(nowMs).split(':').map(Number);
  return nowMs - (nowMs % 1000) + day - ((hours * 60 + minutes) * 60 + seconds) * 1000;
}

const tileTokens = 258;
const side = { small: 384, leastTile: 256, mostTile: 768, most: 3072 };
/** 3072 × 384: twelve tiles of 256 in two rows, the most after scaling; and an overview, which is not ruled out. */
const mostTiles = 24 + 1;

/**
 * Tiles before Gemini 3: one up to 384 pixels; else squares of the shorter side / 1.5, from 256 to 768 pixels, after scaling to 3072
 * (cloud.google.com, image understanding). The Gemini API’s own formula knows no limits (ai.google.dev/gemini-api/docs/image-understanding).
 */
function tilesOf(size: PictureSize): number {
  if (size === null) return mostTiles;
  const { width, height } = size;
  if (Math.max(width, height) <= side.small) return 1;
  const scale = Math.min(1, side.most / Math.max(width, height));
  const tile = Math.floor(Math.min(width, height) / 1.5);
  const scaled = Math.min(side.mostTile, Math.max(side.leastTile, Math.floor((Math.min(width, height) * scale) / 1.5)));
  const tiles = (each: number, by: number): number => Math.ceil((width * by) / each) * Math.ceil((height * by) / each);
  return Math.min(mostTiles, Math.max(tiles(scaled, scale), tiles(Math.max(1, tile), 1)) + 1);
}

/** At most 1,120 since Gemini 3, unless a part asks for more (ai.google.dev/gemini-api/docs/media-resolution), called an estimate. */
const budgetTokens = 1152;

/** A model of another name may count either way. */
function pictureTokens(size: PictureSize, model: string): number {
  const tiled = tilesOf(size) * tileTokens;
  if (/^gemini-3/.test(model)) return budgetTokens;
  return /^gemini-[12]\./.test(model) ? tiled : Math.max(tiled, budgetTokens);
}

// Plain calls cost less than their bytes; the google_search preamble was seen to add 436 (gemini-3.5-flash).
const tokens: Overhead['tokens'] = { tools: 256, structuredOutput: 256, hostedTools: 1024 };

export const gemini: Provider = {
  kind: 'Gemini',
  paths: {
    'gemini.generateContent': {
      json: '/v1beta/models/{model}:generateContent',
      stream: '/v1beta/models/{model}:streamGenerateContent',
    },
    'gemini.countTokens': { json: '/v1beta/models/{model}:countTokens' },
    'gemini.embedContent': { json: '/v1beta/models/{model}:embedContent' },
    'gemini.batchEmbedContents': { json: '/v1beta/models/{model}:batchEmbedContents' },
  },
  authentication: { header: 'x-goog-api-key', prefix: '' },
  probe: { path: '/v1beta/models', headers: [] },
  overheadOf: (model) => ({ tokens, pictureTokens: (size) => pictureTokens(size, model) }),
  counting: {
    // Text only (ai.google.dev/gemini-api/docs/tokens); recorded counts equal the usage that followed.
    'gemini.generateContent': { path: '/v1beta/models/{model}:countTokens', margin: { percent: 102, tokens: 32 } },
  },
  // "If your request fails with a 400 or 500 error, you won't be charged for the tokens used": ai.google.dev/gemini-api/docs/billing
  errors: [...refusals, { status: 500, ownBody: true, costs: 'nothing' }],
  statusWithin: statusInCode,
  classify,
};

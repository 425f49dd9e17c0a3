import { canonicalize } from '../../core/audit/canonical.ts';
import type { ProxyBody } from '../../core/audit/types.ts';
import { isObject, type JsonObject, parseJson } from '../../core/json.ts';
import { isFeature } from '../../core/price/types.ts';
import type { EpochRow } from '../store/types.ts';

/** The place that a body must match. */
type BodyPlace = Pick<EpochRow, 'key' | 'instance' | 'epoch' | 'nonce'> & { readonly seq: number };

/** Says what is wrong with a body of one type; null: nothing. */
type Check = (body: JsonObject, place: BodyPlace) => string | null;

const timePattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/;
const sha256Pattern = /^[0-9a-f]{64}$/;
const moneyPattern = /^(0|[1-9]\d{0,15})$/;

/**
 * Reads a body from the committed bytes; returns a text if it is invalid. It checks everything on which money, place and
 * attribution depend, and that the bytes are canonical, so that they have only one reading.
 */
export function parseBody(bytes: Buffer, place: BodyPlace): ProxyBody | string {
  const text = bytes.toString();
  const body = parseJson(text);
  const canonical = canonicalText(body);
  if (canonical === null) return 'its body is not JSON';
  if (canonical !== text) return 'its body is not canonical JSON';
  if (!isObject(body)) return 'its body is no object';
  return checkCommon(body, place) ?? checkType(body, place) ?? (body as unknown as ProxyBody);
}

/** Canonical JSON; null if it cannot carry the value: undefined, a lone surrogate, an infinite number. */
function canonicalText(value: unknown): string | null {
  try {
    return canonicalize(value);
  } catch {
    return null;
  }
}

function checkCommon(body: JsonObject, { key, seq }: BodyPlace): string | null {
  if (body['v'] !== 1) return 'its body has another version';
  if (body['key'] !== key) return `it is about ${String(body['key'])} in the stream of ${key}`;
  if (!matches(body['time'], timePattern)) return 'its time is not RFC 3339 in UTC';
  const opens = body['type'] === 'epoch_open' || body['type'] === 'epoch_recovered';
  return opens === (seq === 0) ? null : 'an epoch begins with epoch_open or epoch_recovered, and has neither later';
}

function checkType(body: JsonObject, place: BodyPlace): string | null {
  const { type } = body;
  return isProxyType(type) ? checks[type](body, place) : `it has the unknown type ${String(type)}`;
}

function isProxyType(type: unknown): type is ProxyBody['type'] {
  return typeof type === 'string' && Object.hasOwn(checks, type);
}

const checks: Readonly<Record<ProxyBody['type'], Check>> = {
  call: (body) => {
    if (!isText(body['requestId']) || !isText(body['code'])) return 'the call has no requestId or no code';
    if (!Array.isArray(body['path']) || !body['path'].every(isText)) return 'the call has no path';
    if (!isMoney(body['costNanoUsd'])) return 'the cost is no amount';
    if (body['answerSha256'] !== undefined && !matches(body['answerSha256'], sha256Pattern)) return 'the hash of its answer is none';
    if (typeof body['estimated'] !== 'boolean') return 'the call does not say whether its cost is estimated';
    return checkBreach(body) ?? checkPaidFrom(body['paidFrom'], body['costNanoUsd']);
  },
  epoch_open: (body, { nonce, instance }) =>
    body['nonce'] === nonce && body['instance'] === instance ? null : 'it opens another epoch or another instance',
  epoch_recovered: (body, { epoch }) => {
    const { recoveredEpoch, lastSeq, whole, charges } = body;
    if (!isWhole(recoveredEpoch, 1) || recoveredEpoch >= epoch) return 'it recovers an epoch that is not before it';
    if (!isWhole(lastSeq, -1) || typeof whole !== 'boolean' || !Array.isArray(charges)) return 'it does not say what it recovers';
    for (const charge of charges) {
      if (!isObject(charge) || !isText(charge['requestId'])) return 'a charge names no request';
      if (charge['measured'] !== undefined && charge['measured'] !== true) return 'a charge does not say whether it was measured';
      const problem = checkPaidFrom(charge['paidFrom']);
      if (problem !== null) return problem;
    }
    return checkRecoveredRefusals(body);
  },
  release: (body) => (Array.isArray(body['grants']) && body['grants'].every(isText) ? null : 'it names no grants'),
  refusals: checkRefusals,
  heartbeat: () => null,
  epoch_close: () => null,
};

function checkRecoveredRefusals({ refusals = [] }: JsonObject): string | null {
  if (!Array.isArray(refusals)) return 'its refusals are no list';
  for (const group of refusals as readonly unknown[]) {
    const problem = isObject(group) ? checkRefusals(group) : 'its refusals are no groups';
    if (problem !== null) return problem;
  }
  return null;
}

/** Checks a group of refusals. The code `ok` is of calls that were served: each has its own entry. */
function checkRefusals({ code, count, endpoint, from, model, to, tokenId }: JsonObject): string | null {
  if (!isText(code) || code === 'ok' || !isText(endpoint)) return 'the refusals have no code or no endpoint';
  if (!isAbsentOrText(model) || !isAbsentOrText(tokenId)) return 'the model or the token of the refusals is no text';
  if (!matches(from, timePattern) || !matches(to, timePattern)) return 'the refusals have no times';
  if (Date.parse(from) > Date.parse(to)) return 'the refusals end before they begin';
  return isWhole(count, 1) ? null : 'the refusals are not counted';
}

/** Checks what a bill teaches: only about a pool that the call went to. */
function checkBreach({ breach, attempts }: JsonObject): string | null {
  if (breach === undefined) return null;
  if (!isObject(breach) || !isText(breach['model']) || typeof breach['possible'] !== 'boolean')
    return 'it does not say what its bill teaches';
  const { features, percent, pool } = breach;
  if (!isWhole(percent, 101)) return 'its bill was not above its bound';
  if (!Array.isArray(features) || !features.every(isFeature)) return 'its bill names an unknown feature';
  const isOwn = Array.isArray(attempts) && attempts.some((attempt) => isObject(attempt) && attempt['pool'] === pool);
  return isOwn ? null : 'its bill is of a pool that the call did not go to';
}

/** Checks payments. `sum`: their required total, so that reported spend is the sum of entries. */
function checkPaidFrom(paidFrom: unknown, sum?: string): string | null {
  if (!Array.isArray(paidFrom)) return 'it does not say what paid';
  let paid = 0;
  for (const part of paidFrom as readonly unknown[]) {
    if (!isObject(part) || !isText(part['grant']) || !isMoney(part['costNanoUsd'])) return 'a payment is no amount of a grant';
    if (part['requests'] !== undefined && part['requests'] !== 1) return 'a payment counts another number of requests than 1';
    if (part['tokens'] !== undefined && !isWhole(part['tokens'], 0)) return 'a payment has no whole number of tokens';
    paid += Number(part['costNanoUsd']);
  }
  return sum === undefined || paid === Number(sum) ? null : `it cost ${sum} nano-USD and its payments come to ${paid}`;
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function isAbsentOrText(value: unknown): boolean {
  return value === undefined || isText(value);
}

function isWhole(value: unknown, min: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= min;
}

function matches(value: unknown, pattern: RegExp): value is string {
  return typeof value === 'string' && pattern.test(value);
}

function isMoney(value: unknown): value is string {
  return matches(value, moneyPattern) && Number.isSafeInteger(Number(value));
}

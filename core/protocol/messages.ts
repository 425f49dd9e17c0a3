import { isObject, parseJson } from '../json.ts';
import { isKeyName } from '../names.ts';
import type { Message } from './channel.ts';
import { type ControlPort, controlVersion } from './control.ts';
import { maxOthers } from './money.ts';

/** One well-formed call of a proxy. */
export interface CallMessage {
  readonly id: number;
  readonly call: Exclude<keyof ControlPort, 'watch'> | 'watch' | 'unwatch' | 'cancel';
  readonly args: readonly unknown[];
}

/** The token with which a proxy authenticates: a secret. */
export interface HelloMessage {
  readonly id: number;
  readonly hello: string;
}

/** A malformed message, with its `id` if that could be read. */
interface BadMessage {
  readonly id: number | null;
  readonly bad: string;
}

type Check = (value: unknown) => boolean;

const text: Check = (value) => typeof value === 'string' && value.length <= 1_048_576;
const whole: Check = (value) => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
const finite: Check = (value) => typeof value === 'number' && Number.isFinite(value) && value >= 0;
const positive: Check = (value) => whole(value) && value !== 0;
const key: Check = (value) => typeof value === 'string' && isKeyName(value);
const isBytes: Check = (value) => value instanceof Uint8Array;
const list =
  (item: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(item);

/** An object with these fields; those of `optional` may be absent. Unknown fields pass, because later versions may add some. */
function record(required: Readonly<Record<string, Check>>, optional: Readonly<Record<string, Check>> = {}): Check {
  return (value) => {
    if (!isObject(value)) return false;
    if (!Object.entries(required).every(([name, check]) => check(value[name]))) return false;
    return Object.entries(optional).every(([name, check]) => value[name] === undefined || check(value[name]));
  };
}

/** Like `record`, but an unknown field fails: a field that narrows a key must not be ignored. */
function exactly(optional: Readonly<Record<string, Check>>): Check {
  const known = record({}, optional);
  return (value) => known(value) && Object.keys(value as object).every((name) => name in optional);
}

const childSpec = exactly({
  name: text,
  usdNano: positive,
  requests: positive,
  ttlMs: positive,
  models: list(text),
  endpoints: list(text),
  outputTokens: positive,
  delegation: record({ maxDepth: positive, maxChildren: positive }),
});
const callFigures = { atLeastNano: whole, preferredNano: whole, boundNano: whole, atLeastRequests: whole, tokens: whole };
const figures = { ...callFigures, wantNano: whole, wantRequests: whole };
const age = { waitedMs: finite, maxWaitMs: finite };
const others: Check = (value) => list(record({ ...callFigures, ...age }))(value) && (value as readonly unknown[]).length <= maxOthers;
const wait = record({ ...age, holdMs: finite, others });
const head: Check = (value) => value === -1 || whole(value);

const calls: Readonly<Record<CallMessage['call'], readonly Check[]>> = {
  open: [record({ key, instance: (value) => typeof value === 'string' && /^[-.\w]{1,128}$/.test(value) })],
  ship: [isBytes],
  grant: [record({ stream: text, epoch: whole, head, askId: text, ...figures }, { heldNano: whole, wait })],
  account: [key],
  answerTokens: [key, (value) => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)],
  mint: [key, childSpec],
  children: [key],
  unmint: [key, key],
  watch: [],
  unwatch: [whole],
  cancel: [whole],
};

const hello = record({ token: (value) => typeof value === 'string' && value.length <= 16_384 });

/**
 * Reads one message of a proxy: `{"v":1,"id":7,"call":"grant","args":[…]}` or `{"v":1,"id":0,"hello":{"token":"…"}}`.
 * If a call carries bytes, they are its one argument.
 */
export function readCall({ text: body, bytes }: Message): CallMessage | HelloMessage | BadMessage {
  const message = parseJson(body);
  if (!record({ id: whole })(message)) return { id: null, bad: 'a message is JSON text with an id' };
  const { id, ...rest } = message as { readonly id: number } & Readonly<Record<'v' | 'call' | 'args' | 'hello', unknown>>;
  if (rest.v !== controlVersion)
    return { id, bad: `this operator speaks version ${controlVersion} of the control port; run the same KeyForge version on both sides` };
  if (hello(rest.hello)) return { id, hello: (rest.hello as { readonly token: string }).token };
  const { call } = rest;
  const args = bytes === undefined ? rest.args : [bytes];
  if (typeof call !== 'string' || !Object.hasOwn(calls, call)) return { id, bad: 'unknown call' };
  const name = call as CallMessage['call'];
  const checks = calls[name];
  if (!Array.isArray(args) || args.length !== checks.length || !checks.every((check, index) => check(args[index]))) {
    return { id, bad: `${name}: the arguments are malformed` };
  }
  return { id, call: name, args };
}

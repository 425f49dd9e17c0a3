import type { IncomingHttpHeaders } from 'node:http';
import type { Family } from '../dialect/types.ts';

/**
 * Client headers that a provider acts on or that name the session. No other header is forwarded: `idempotency-key` would give one key
 * the answer of another that shares its credential, and `openai-organization` and `openai-project` choose what a credential bills.
 */
const toProvider = new Set([
  'accept',
  'anthropic-beta',
  'anthropic-version',
  'conversation-id',
  'conversation_id',
  'openai-beta',
  'originator',
  'session-id',
  'session_id',
  'thread-id',
  'tracestate',
  'traceparent',
  'user-agent',
  'x-app',
  'x-client-request-id',
  'x-goog-api-client',
  'x-session-affinity',
  'x-session-id',
]);
const toProviderPrefixes = ['x-stainless-', 'x-codex-', 'x-claude-code-'];

/** Hop-by-hop headers (RFC 9110 7.6.1), framing that KeyForge sets itself, and headers about the provider's origin. */
const notToClient = new Set([
  'alt-svc',
  'connection',
  'content-encoding',
  'content-length',
  'date',
  'expect-ct',
  'keep-alive',
  'location',
  'nel',
  'proxy-authenticate',
  'proxy-connection',
  'public-key-pins',
  'refresh',
  'report-to',
  'server',
  'set-cookie',
  'set-cookie2',
  'strict-transport-security',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'via',
  'www-authenticate',
]);
/** Only KeyForge grants cross-origin access and sets `x-keyforge-*`. */
const notToClientPrefixes = ['access-control-', 'x-keyforge-'];
/** Headers that name the account behind the credential: openai-organization, openai-project, anthropic-organization-id and similar. */
const accountNames = /organi[sz]ation|project|workspace|account|tenant|subscription/;

/**
 * The client's headers for a provider, as a flat list of names and values in the order of `rawHeaders`. The body was read as
 * JSON, so it is sent as JSON. It requests identity encoding, because the meter reads the answer. Carries no credential.
 */
export function headersForProvider(rawHeaders: readonly string[], { requiredHeader }: Family): string[] {
  const headers = ['content-type', 'application/json', 'accept-encoding', 'identity'];
  let complete = requiredHeader === undefined;
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    const lower = goesToProvider(name);
    if (lower === null) continue;
    complete ||= lower === requiredHeader?.name;
    headers.push(lower, rawHeaders[i + 1] as string);
  }
  if (requiredHeader !== undefined && !complete) headers.push(requiredHeader.name, requiredHeader.value);
  return headers;
}

/** A provider's headers for the client, as a flat list for `writeHead`. The caller sets length and framing. */
export function headersForClient(headers: IncomingHttpHeaders): string[] {
  const flat: string[] = [];
  for (const name in headers) {
    const value = headers[name];
    if (value === undefined || !goesToClient(name)) continue;
    if (typeof value === 'string') flat.push(name, value);
    else for (const item of value) flat.push(name, item);
  }
  return flat;
}

/** The part of a client's query for a provider: empty, or from its `?` on. `search` is empty or starts with `?`. */
export function queryForProvider({ queryParameters }: Family, search: string): string {
  if (search.length < 2) return '';
  // At most one: KeyForge and the provider could read two of them differently.
  const found = search
    .slice(1)
    .split('&')
    .find((parameter) => queryParameters.includes(parameter));
  return found === undefined ? '' : `?${found}`;
}

/** The lower-case name of a header to forward, otherwise null. Names repeat over calls, so each is judged once. */
const goesToProvider = remember((lower) => {
  const goes = toProvider.has(lower) || toProviderPrefixes.some((prefix) => lower.startsWith(prefix));
  return goes ? lower : null;
});

const goesToClient = remember(
  (lower) => !notToClient.has(lower) && !notToClientPrefixes.some((prefix) => lower.startsWith(prefix)) && !accountNames.test(lower),
);

const maxRemembered = 1000;
/** No header that anyone uses has a longer name. */
const maxNameLength = 64;

/** Caches answers. Others choose the names, so number and length of those it keeps are bounded. */
function remember<T>(judge: (lowerName: string) => T): (name: string) => T {
  const known = new Map<string, T>();
  return (name) => {
    const before = known.get(name);
    if (before !== undefined) return before;
    const verdict = judge(name.toLowerCase());
    if (known.size < maxRemembered && name.length <= maxNameLength) known.set(name, verdict);
    return verdict;
  };
}

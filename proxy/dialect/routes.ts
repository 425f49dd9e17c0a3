import type { IncomingHttpHeaders } from 'node:http';
import { type Refusal, refuse } from '../../core/errors.ts';
import { refuseUnknown } from '../wrong-path.ts';
import { anthropicFamily } from './anthropic/family.ts';
import { geminiFamily } from './gemini/family.ts';
import { openaiFamily } from './openai/family.ts';
import { dialects } from './table.ts';
import type { Dialect, DialectId, Family, RouteAction } from './types.ts';

/** A call that goes to a provider. */
export interface CallRoute {
  readonly kind: 'call';
  /** Route template, as in policies. */
  readonly endpoint: string;
  readonly dialect: Dialect;
  readonly family: Family;
  readonly action: RouteAction;
  /** The unchanged query: empty, or from its `?` on. */
  readonly search: string;
}

/** A request that KeyForge answers itself. */
export type ApiRoute =
  /** `model`: as the caller wrote it. */
  | { readonly kind: 'api'; readonly family: Family; readonly operation: 'get_model'; readonly model: string }
  | { readonly kind: 'api'; readonly family: Family; readonly operation: 'list_models' | 'get_self' | 'list_keys' | 'create_key' }
  /** `child`: a sub-agent key’s short name, or `namespace/name`. */
  | { readonly kind: 'api'; readonly family: Family; readonly operation: 'delete_key'; readonly child: string };

export type Route = CallRoute | ApiRoute;

interface Target {
  readonly endpoint: string;
  readonly dialect: Dialect;
  readonly action: RouteAction;
}

const messages = call('/v1/messages', 'anthropic.messages');

/** POST by exact path. */
const posts: ReadonlyMap<string, Target> = new Map([
  ['/v1/chat/completions', call('/v1/chat/completions', 'openai.chat')],
  ['/v1/responses', call('/v1/responses', 'openai.responses')],
  ['/v1/responses/compact', call('/v1/responses/compact', 'openai.compact')],
  ['/v1/responses/input_tokens', call('/v1/responses/input_tokens', 'openai.input_tokens')],
  ['/v1/embeddings', call('/v1/embeddings', 'openai.embeddings')],
  ['/v1/completions', call('/v1/completions', 'openai.completions')],
  ['/v1/fim/completions', call('/v1/fim/completions', 'mistral.fim')],
  ['/v1/moderations', call('/v1/moderations', 'openai.moderations')],
  ['/v1/messages', messages],
  ['/messages', messages],
  ['/v1/messages/count_tokens', call('/v1/messages/count_tokens', 'anthropic.count_tokens')],
]);

/** POST to a Gemini model, by what follows the last colon. Each has one template for all versions in paths. */
const geminiActions: ReadonlyMap<string, Target> = new Map([
  ['generateContent', call('/v1beta/models/{model}:generateContent', 'gemini.generateContent', { stream: false })],
  ['streamGenerateContent', call('/v1beta/models/{model}:streamGenerateContent', 'gemini.generateContent', { stream: true })],
  ['countTokens', call('/v1beta/models/{model}:countTokens', 'gemini.countTokens', { stream: false })],
  ['embedContent', call('/v1beta/models/{model}:embedContent', 'gemini.embedContent', { stream: false })],
  ['batchEmbedContents', call('/v1beta/models/{model}:batchEmbedContents', 'gemini.batchEmbedContents', { stream: false })],
]);

function call(endpoint: string, dialect: DialectId, action: RouteAction = {}): Target {
  return { endpoint, dialect: dialects[dialect], action };
}

/** Every template that `endpoints` of a policy may name. */
export const endpointTemplates: readonly string[] = [
  ...new Set([...posts.values(), ...geminiActions.values()].map(({ endpoint }) => endpoint)),
];

const modelPrefixes = ['/v1beta/models/', '/v1/models/'] as const;
const keysPath = '/keyforge/v1/keys';
const maxPathLength = 1024;

// Codex tries a WebSocket first. After 426 it uses HTTP at once; any other answer costs it five tries.
const noWebSocket = refuse('upgrade_required', 'KeyForge takes this call over HTTP only: send it as a POST to the same path.');

/** Finds the route of a request by method and target, or refuses it. KeyForge forwards no unknown request. */
export function matchRoute(method: string, target: string, headers: IncomingHttpHeaders): Route | Refusal {
  const query = target.indexOf('?');
  const path = query < 0 ? target : target.slice(0, query);
  const search = query < 0 ? '' : target.slice(query);
  const route = path.length > maxPathLength ? null : (callRoute(method, path, search) ?? apiRoute(method, path, headers));
  if (route === null && headers.upgrade?.toLowerCase() === 'websocket' && callRoute('POST', path, search) !== null) return noWebSocket;
  return route ?? refuseUnknown(method, path, (by, other) => (callRoute(by, other, '') ?? apiRoute(by, other, headers)) !== null);
}

/** The family of a caller whose route is unknown, for errors and model lists: by its path, then by its headers. */
export function callerFamily(path: string, headers: IncomingHttpHeaders): Family {
  if (path.startsWith('/v1beta/')) return geminiFamily;
  if (path.startsWith('/v1/messages') || path.startsWith('/messages') || headers['anthropic-version'] !== undefined) return anthropicFamily;
  return headers['x-goog-api-key'] !== undefined ? geminiFamily : openaiFamily;
}

function callRoute(method: string, path: string, search: string): CallRoute | null {
  if (method !== 'POST') return null;
  const found = posts.get(path) ?? geminiTarget(path) ?? azureTarget(path);
  return found === null ? null : { kind: 'call', ...found, family: found.dialect.family, search };
}

/** OpenAI's routes as Azure's SDKs write them. The body names the model too, and that name counts. */
function azureTarget(path: string): Target | null {
  const rest = /^\/openai\/(?:v1|deployments\/[^/]+)(\/.+)$/.exec(path)?.[1];
  const target = rest === undefined ? undefined : posts.get(`/v1${rest}`);
  return target?.dialect.family === openaiFamily ? target : null;
}

function geminiTarget(path: string): Target | null {
  const prefix = modelPrefixes.find((start) => path.startsWith(start));
  if (prefix === undefined) return null;
  const colon = path.lastIndexOf(':');
  const target = geminiActions.get(path.slice(colon + 1));
  const model = colon < prefix.length ? null : decodedName(path.slice(prefix.length, colon));
  return target === undefined || model === null ? null : { ...target, action: { ...target.action, model } };
}

const safeName = /^[A-Za-z0-9][A-Za-z0-9._@:/-]{0,255}$/;

/** A name from a path, percent-decoded once; null if a second decoding could yield another path. */
function decodedName(encoded: string): string | null {
  let name: string;
  try {
    name = decodeURIComponent(encoded);
  } catch {
    return null;
  }
  const safe =
    safeName.test(name) &&
    !name.includes('..') &&
    !name.includes('//') &&
    !name.includes('/./') &&
    !name.endsWith('/') &&
    !name.endsWith('/.');
  return safe ? name : null;
}

function apiRoute(method: string, path: string, headers: IncomingHttpHeaders): ApiRoute | null {
  const route = { kind: 'api', family: callerFamily(path, headers) } as const;
  if (method === 'GET') {
    if (path === '/v1/models' || path === '/v1beta/models') return { ...route, operation: 'list_models' };
    if (path === '/keyforge/v1/self') return { ...route, operation: 'get_self' };
    if (path === keysPath) return { ...route, operation: 'list_keys' };
    const prefix = modelPrefixes.find((start) => path.startsWith(start));
    const model = prefix === undefined ? null : decodedName(path.slice(prefix.length));
    return model === null ? null : { ...route, operation: 'get_model', model };
  }
  if (method === 'POST' && path === keysPath) return { ...route, operation: 'create_key' };
  if (method !== 'DELETE' || !path.startsWith(`${keysPath}/`)) return null;
  const child = decodedName(path.slice(keysPath.length + 1));
  return child === null ? null : { ...route, operation: 'delete_key', child };
}

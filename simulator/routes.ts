import type { IncomingHttpHeaders } from 'node:http';
import { anthropicMessages } from './dialect/anthropic.ts';
import { geminiGenerate } from './dialect/gemini.ts';
import { openaiChat } from './dialect/openai-chat.ts';
import { openaiCompletions } from './dialect/openai-completions.ts';
import { openaiResponses } from './dialect/openai-responses.ts';
import {
  anthropicCount,
  geminiCount,
  geminiEmbed,
  geminiEmbedBatch,
  openaiCompact,
  openaiCount,
  openaiEmbeddings,
  type Whole,
} from './dialect/uncounted.ts';
import type { BadRequest, Family, Json, SimulatedDialect } from './types.ts';

/** What a path leads to. */
export type Route =
  | { readonly kind: 'generate'; readonly dialect: SimulatedDialect; readonly model?: string; readonly stream?: boolean }
  | {
      readonly kind: 'whole';
      readonly family: Family;
      readonly model?: string;
      /** True for the counting of tokens. */
      readonly counts?: true;
      readonly answer: (body: Json) => Whole | BadRequest;
    }
  | { readonly kind: 'models'; readonly family: Family }
  | { readonly kind: 'unknown'; readonly family: Family };

const geminiPath = /^\/v1(?:beta)?\/models\/([^/:]+):(\w+)$/;

/** Maps method and path to a route; never throws. */
export function findRoute(method: string, path: string, headers: IncomingHttpHeaders): Route {
  if (method === 'GET') return modelsRoute(path, headers);
  switch (path) {
    case '/v1/chat/completions':
      return { kind: 'generate', dialect: openaiChat };
    case '/v1/responses':
      return { kind: 'generate', dialect: openaiResponses };
    case '/v1/responses/input_tokens':
      return { kind: 'whole', family: 'openai', counts: true, answer: openaiCount };
    case '/v1/completions':
      return { kind: 'generate', dialect: openaiCompletions };
    case '/v1/responses/compact':
      return { kind: 'whole', family: 'openai', answer: openaiCompact };
    case '/v1/embeddings':
      return { kind: 'whole', family: 'openai', answer: openaiEmbeddings };
    case '/v1/messages':
      return { kind: 'generate', dialect: anthropicMessages };
    case '/v1/messages/count_tokens':
      return { kind: 'whole', family: 'anthropic', counts: true, answer: anthropicCount };
    default:
      return geminiRoute(path);
  }
}

function modelsRoute(path: string, headers: IncomingHttpHeaders): Route {
  if (path === '/v1beta/models' || 'x-goog-api-key' in headers) return { kind: 'models', family: 'gemini' };
  if (path !== '/v1/models') return { kind: 'unknown', family: 'openai' };
  return { kind: 'models', family: 'anthropic-version' in headers ? 'anthropic' : 'openai' };
}

function geminiRoute(path: string): Route {
  const match = geminiPath.exec(path);
  const model = decodeURIComponent(match?.[1] ?? '');
  switch (match?.[2]) {
    case 'generateContent':
      return { kind: 'generate', dialect: geminiGenerate, model, stream: false };
    case 'streamGenerateContent':
      return { kind: 'generate', dialect: geminiGenerate, model, stream: true };
    case 'countTokens':
      return { kind: 'whole', family: 'gemini', model, counts: true, answer: (body) => geminiCount(body, model) };
    case 'embedContent':
      return { kind: 'whole', family: 'gemini', model, answer: geminiEmbed };
    case 'batchEmbedContents':
      return { kind: 'whole', family: 'gemini', model, answer: geminiEmbedBatch };
    default:
      return { kind: 'unknown', family: path.startsWith('/v1beta') ? 'gemini' : 'openai' };
  }
}

/** Whose errors a route speaks. */
export function familyOf(route: Route): Family {
  return route.kind === 'generate' ? route.dialect.family : route.family;
}

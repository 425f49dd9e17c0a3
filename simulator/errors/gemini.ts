import type { Json } from '../types.ts';
import { type ErrorAnswer, type FamilyErrors, jsonAnswer } from './types.ts';

/** Gemini's: the body repeats the status, with the name that gRPC has for it. */
export const geminiErrors: FamilyErrors = {
  rateLimited(model, retryAfterSeconds) {
    return answer(429, 'RESOURCE_EXHAUSTED', `You exceeded your current quota. Please retry in ${retryAfterSeconds}s.`, [
      quotaFailure({ quotaId: 'GenerateRequestsPerMinutePerProjectPerModel', quotaDimensions: { model } }),
      { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: `${retryAfterSeconds}s` },
    ]);
  },
  insufficientQuota() {
    const message = 'You exceeded your current quota, please check your plan and billing details.';
    return answer(429, 'RESOURCE_EXHAUSTED', message, [quotaFailure({ quotaId: 'GenerateRequestsPerDayPerProjectPerModel' })]);
  },
  unauthorized: () => answer(401, 'UNAUTHENTICATED', 'API key not valid. Please pass a valid API key.'),
  overloaded: () => answer(503, 'UNAVAILABLE', 'The model is overloaded. Please try again later.'),
  serverError: () => answer(500, 'INTERNAL', 'An internal error has occurred.'),
  unknownModel: (model) => answer(404, 'NOT_FOUND', `models/${model} is not found for API version v1beta.`),
  badRequest: (message) => answer(400, 'INVALID_ARGUMENT', message),
  unknownRoute: () => answer(404, 'NOT_FOUND', 'Requested entity was not found.'),
};

function answer(code: number, status: string, message: string, details?: readonly Json[]): ErrorAnswer {
  return jsonAnswer(code, { error: { code, message, status, details } });
}

function quotaFailure(violation: Json): Json {
  return { '@type': 'type.googleapis.com/google.rpc.QuotaFailure', violations: [violation] };
}

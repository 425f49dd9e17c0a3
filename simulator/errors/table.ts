import type { Fault } from '../faults.ts';
import type { Family } from '../types.ts';
import { anthropicErrors } from './anthropic.ts';
import { geminiErrors } from './gemini.ts';
import { openaiErrors } from './openai.ts';
import { type ErrorAnswer, type FamilyErrors, jsonAnswer } from './types.ts';

const table: Readonly<Record<Family, FamilyErrors>> = {
  openai: openaiErrors,
  anthropic: anthropicErrors,
  gemini: geminiErrors,
};

/** The errors of a family. */
export function errorsOf(family: Family): FamilyErrors {
  return table[family];
}

/** The whole answer that a fault calls for; null where it bends a success instead. */
export function faultAnswer(fault: Fault | undefined, family: Family, model: string): ErrorAnswer | null {
  const errors = table[family];
  switch (fault?.kind) {
    case 'rate_limited':
      return errors.rateLimited(model, fault.retryAfterSeconds ?? 20);
    case 'insufficient_quota':
      return errors.insufficientQuota();
    case 'unauthorized':
      return errors.unauthorized();
    case 'billing':
      return family === 'anthropic' ? errors.insufficientQuota() : insufficientCredits;
    case 'overloaded':
      return errors.overloaded();
    case 'server_error':
      return errors.serverError();
    case 'bad_gateway':
      return badGateway;
    case 'redirect':
      return { status: 307, headers: { location: fault.location }, body: '' };
    case 'answer':
      return fault;
    case 'hang_before_headers':
    case 'reset_before_headers':
    case 'hang_mid_stream':
    case 'reset_mid_stream':
    case 'cut_mid_stream':
    case 'error_event':
    case undefined:
      return null;
  }
}

/** 402 as OpenRouter sends it. */
const insufficientCredits = jsonAnswer(402, {
  error: { message: 'Insufficient credits.', type: 'billing_error', param: null, code: 'insufficient_credits' },
});

/** What a CDN says when the provider is gone. */
const badGateway: ErrorAnswer = {
  status: 502,
  headers: { 'content-type': 'text/html' },
  body: '<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n',
};

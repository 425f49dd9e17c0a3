import { type Refusal, refuse } from '../../core/errors.ts';
import { acceptedEncodings } from './encoding.ts';

export function tooLarge(limitBytes: number): Refusal {
  return refuse(
    'too_large',
    `The body is larger than ${limitBytes} bytes: send less, or upload large files to the provider by other means.`,
  );
}

export function unsupported(encoding: string): Refusal {
  const message = `The body is sent with content-encoding ${JSON.stringify(encoding.slice(0, 64))}: send it uncompressed, or in one of ${acceptedEncodings}.`;
  return refuse('unsupported_encoding', message);
}

export function damaged(encoding: string): Refusal {
  return refuse('invalid_request', `The body cannot be decoded as ${JSON.stringify(encoding.slice(0, 64))}: it is damaged or cut off.`);
}

export function overloaded(): Refusal {
  const message = 'KeyForge has no room for this body now, because other bodies take the memory: send it again shortly.';
  return refuse('overloaded', message, { retryAfterSeconds: 2 });
}

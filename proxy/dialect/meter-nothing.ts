import type { StreamMeter } from './types.ts';

/** For dialects that never stream: bytes pass, nothing is read, and the answer is never known to be whole. */
export function meterNothing(): StreamMeter {
  return {
    push: (chunk) => [chunk],
    flush: () => [],
    framing: 'sse',
    phase: 'content',
    errorBody: undefined,
    complete: false,
    reading: () => ({ usage: null }),
  };
}

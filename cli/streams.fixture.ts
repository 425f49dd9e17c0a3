import type { Output, Streams } from './streams.ts';

/** Streams whose reader takes everything at once, and what was printed so far. */
export function captureStreams(): Streams & { readonly printed: { out: string; err: string } } {
  const printed = { out: '', err: '' };
  const output = (name: 'out' | 'err'): Output => ({
    write: (text) => (printed[name] += text),
    drained: () => Promise.resolve(true),
  });
  return { stdout: output('out'), stderr: output('err'), printed };
}

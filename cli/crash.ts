/** Unbroken runs of what credentials are made of; file paths in frames have dots and slashes, which end a run. */
const credentialLike = /[-\w+~]{20,}={0,2}/g;

/**
 * An unexpected error for a log: name, code, message and frames. Messages may quote what they choked on (a header value,
 * a piece of a file), so anything long enough to be a credential is taken out of them.
 */
export function crashText(error: unknown): string {
  if (!(error instanceof Error)) return 'a value that is no error was thrown';
  const code = 'code' in error && typeof error.code === 'string' ? ` [${error.code}]` : '';
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  return [`${error.name}${code}: ${error.message.replaceAll(credentialLike, '[redacted]')}`, ...frames].join('\n');
}

import { KubeError } from './types.ts';

/** Temporary 4xx: an object is gone or has changed in the meantime, or there are too many requests. */
const transientStatuses = [401, 404, 408, 409, 410, 429];
/** No message may contain this many consecutive characters of a secret. */
const pieceLength = 8;

/**
 * The API server refuses to write a Secret (a quota, a policy engine, `immutable`) until people change something.
 * The message is for a condition: what, which object, what to do. It contains no secret, even if the API server quoted one.
 */
export class SecretRefused extends KubeError {
  constructor({ status, reason, retryAfterMs }: KubeError, message: string) {
    super(status, reason, message, retryAfterMs);
  }
}

/** One write of a Secret. */
interface SecretWrite {
  readonly secret: string;
  /** What people can do about a refusal. */
  readonly advice: string;
  /** The secrets that it writes. */
  readonly values: readonly string[];
}

/** Writes; rejects with SecretRefused if the API server refuses, and with every other error unchanged. */
export async function writeSecret<T>({ secret, advice, values }: SecretWrite, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    if (!(error instanceof KubeError) || error.status < 400 || error.status > 499 || transientStatuses.includes(error.status)) throw error;
    throw new SecretRefused(
      error,
      `the operator cannot write Secret ${secret}: ${wordsOf(error, values)}. ${advice}; the operator retries`,
    );
  }
}

/** Returns why the API server refused work that writes Secrets; null: it did not. Rejects with every other error. */
export async function refusalOf(work: Promise<unknown>): Promise<SecretRefused | null> {
  try {
    await work;
    return null;
  } catch (error) {
    if (error instanceof SecretRefused) return error;
    throw error;
  }
}

/** The API server's own message, or nothing of it if it may quote a secret: validation and policies quote rejected values. */
function wordsOf({ status, message }: KubeError, values: readonly string[]): string {
  const words = message.replace(/^[A-Z]+ \S+: \d+ /, '').replace(/[.\s]+$/, '');
  const isQuoting = /\bvalue: /i.test(words) || values.flatMap(spellings).some((text) => hasPieceOf(text, words));
  if (isQuoting) return `the API server answers ${status}, with a message that is omitted because it may quote the secret`;
  return `the API server answers ${status}, ${words}`;
}

/** The spellings of a value: as text, in base64, and as Go prints bytes. */
function spellings(value: string): readonly string[] {
  const bytes = [...Buffer.from(value)];
  return [value, Buffer.from(value).toString('base64'), bytes.join(' '), bytes.map((byte) => `0x${byte.toString(16)}`).join(', ')];
}

function hasPieceOf(text: string, words: string): boolean {
  const pieces = Array.from({ length: Math.max(1, text.length - pieceLength + 1) }, (_, at) => text.slice(at, at + pieceLength));
  return pieces.some((piece) => words.includes(piece));
}

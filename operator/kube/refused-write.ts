import { KubeError } from './types.ts';

/** Of the 4xx, those that pass by themselves: what is gone or changed meanwhile, and too much at once. */
const passing = [401, 404, 408, 409, 410, 429];
/** Characters of a secret in one row that no message may hold. */
const pieceLength = 8;

/**
 * A quota, a policy engine or the Secret itself (`immutable`) keeps a Secret from being written, until people change something.
 * The message is for a condition: what, which object, what to do; it carries no secret, whatever the API server quoted.
 */
export class SecretRefused extends KubeError {
  constructor({ status, reason, retryAfterMs }: KubeError, message: string) {
    super(status, reason, message, retryAfterMs);
  }
}

/** One write of a Secret. */
export interface SecretWrite {
  readonly secret: string;
  readonly advice: string;
  /** What is written, as far as nobody may read it elsewhere. */
  readonly values: readonly string[];
}

/** Writes, and rejects with SecretRefused where the API server will have none of it; with everything else as it comes. */
export async function writeSecret<T>({ secret, advice, values }: SecretWrite, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    if (!(error instanceof KubeError) || error.status < 400 || error.status > 499 || passing.includes(error.status)) throw error;
    throw new SecretRefused(error, `Secret ${secret} could not be written: ${wordsOf(error, values)}. ${advice}; it is tried again`);
  }
}

/** What refused a piece of work that writes Secrets; null where nothing did. Rejects with everything else. */
export async function refusalOf(work: Promise<unknown>): Promise<SecretRefused | null> {
  try {
    await work;
    return null;
  } catch (error) {
    if (error instanceof SecretRefused) return error;
    throw error;
  }
}

/** The API server's own words, whole or not at all: validation quotes the values that it finds wrong, and policies quote what they like. */
function wordsOf({ status, message }: KubeError, values: readonly string[]): string {
  const words = message.replace(/^[A-Z]+ \S+: \d+ /, '').replace(/[.\s]+$/, '');
  const isQuoting = /\bvalue: /i.test(words) || values.flatMap(spellings).some((text) => hasPieceOf(text, words));
  if (isQuoting) return `the API server answers ${status}, in words that are left out since they may quote what was to be written`;
  return `the API server answers ${status}, ${words}`;
}

/** As text, as the `data` of a Secret has it, and as Go prints bytes. */
function spellings(value: string): readonly string[] {
  const bytes = [...Buffer.from(value)];
  return [value, Buffer.from(value).toString('base64'), bytes.join(' '), bytes.map((byte) => `0x${byte.toString(16)}`).join(', ')];
}

function hasPieceOf(text: string, words: string): boolean {
  const pieces = Array.from({ length: Math.max(1, text.length - pieceLength + 1) }, (_, at) => text.slice(at, at + pieceLength));
  return pieces.some((piece) => words.includes(piece));
}

import { hash } from 'node:crypto';
import type { KeyName } from '../../core/names.ts';

const maxRemembered = 4096;

/** The sizes of recent answers that a later request may continue by their id. In memory and bounded: an unknown size is the whole context. */
export class AnswerSizes {
  readonly #tokens = new Map<string, number>();

  /** The tokens of an answer of this key, and of all that it continued; null: unknown. */
  sizeOf(key: KeyName, answerId: string): number | null {
    return this.#tokens.get(nameOf(key, answerId)) ?? null;
  }

  note(key: KeyName, answerId: string, tokens: number): void {
    const name = nameOf(key, answerId);
    this.#tokens.delete(name);
    this.#tokens.set(name, tokens);
    for (const oldest of this.#tokens.keys()) {
      if (this.#tokens.size <= maxRemembered) return;
      this.#tokens.delete(oldest);
    }
  }
}

/** An id is a capability at the provider: it is kept as a hash, and only for the key that received it. */
function nameOf(key: KeyName, answerId: string): string {
  return hash('sha256', `${key}\n${answerId}`);
}

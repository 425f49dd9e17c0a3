import { hash } from 'node:crypto';
import type { KeyName } from '../../core/names.ts';
import { type ControlPort, ControlUnavailable } from '../../core/protocol/control.ts';

const maxRemembered = 4096;

/**
 * The sizes of answers that a later request may continue by their id. Those of recent answers are in memory, bounded; the
 * operator knows the others from their entries. An id is a capability at the provider: it is kept as a hash, and serves only
 * the key that received it.
 */
export class AnswerSizes {
  readonly #control: Pick<ControlPort, 'answerTokens'>;
  readonly #tokens = new Map<string, number>();

  constructor(control: Pick<ControlPort, 'answerTokens'>) {
    this.#control = control;
  }

  /** The tokens of an answer of this key, and of all that it continued; null: nobody knows, or the operator is away. */
  sizeOf(key: KeyName, answerId: string): number | Promise<number | null> {
    const answer = hash('sha256', answerId);
    return this.#tokens.get(`${key} ${answer}`) ?? this.#ask(key, answer);
  }

  /** Remembers the size of an answer; returns the SHA-256 of its id, for the call's entry. */
  note(key: KeyName, answerId: string, tokens: number): string {
    const answer = hash('sha256', answerId);
    this.#remember(`${key} ${answer}`, tokens);
    return answer;
  }

  async #ask(key: KeyName, answer: string): Promise<number | null> {
    try {
      const tokens = await this.#control.answerTokens(key, answer);
      if (tokens !== null) this.#remember(`${key} ${answer}`, tokens);
      return tokens;
    } catch (error) {
      if (error instanceof ControlUnavailable) return null;
      throw error;
    }
  }

  #remember(name: string, tokens: number): void {
    this.#tokens.delete(name);
    this.#tokens.set(name, tokens);
    for (const oldest of this.#tokens.keys()) {
      if (this.#tokens.size <= maxRemembered) return;
      this.#tokens.delete(oldest);
    }
  }
}

import { inspect } from 'node:util';
import { SecretForms } from './secret-forms.ts';

/** A credential's value. Prints as `[redacted]` everywhere; `reveal` is for the one place that builds the upstream request. */
export class Secret {
  readonly #value: string;
  #forms: SecretForms | null = null;

  constructor(value: string) {
    this.#value = value;
  }

  /** The value itself. */
  reveal(): string {
    return this.#value;
  }

  /** Finds it in what its provider sends. */
  get forms(): SecretForms {
    this.#forms ??= new SecretForms(this.#value);
    return this.#forms;
  }

  /** True if it is this value. */
  holds(value: string): boolean {
    return this.#value === value;
  }

  toString(): string {
    return '[redacted]';
  }

  toJSON(): string {
    return '[redacted]';
  }

  static {
    Object.defineProperty(Secret.prototype, inspect.custom, { value: () => '[redacted]' });
  }
}

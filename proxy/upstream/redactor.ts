import { mark, type SecretForms } from '../credentials/secret-forms.ts';

/** The longest beginning that vendors give to all their credentials, as `sk-ant-api03-`, and room. */
const maxPublicBytes = 16;

/** Removes a credential from bytes that arrive in pieces. It holds back only what could be its beginning. */
export class Redactor {
  readonly #secret: SecretForms;
  #held: Buffer | null = null;

  constructor(secret: SecretForms) {
    this.#secret = secret;
  }

  /** The part of what has arrived that can be passed on; empty: nothing yet. */
  push(chunk: Buffer): Buffer {
    const bytes = this.#held === null ? chunk : Buffer.concat([this.#held, chunk]);
    const clean = this.#secret.removed(bytes);
    const open = this.#secret.openEnd(clean);
    this.#held = open === 0 ? null : clean.subarray(clean.length - open);
    return open === 0 ? clean : clean.subarray(0, clean.length - open);
  }

  /** What is still held, after the last piece: a stream may end within the credential. */
  flush(): Buffer | null {
    const held = this.#held;
    this.#held = null;
    return held === null || held.length <= maxPublicBytes ? held : mark;
  }
}

const quote = 0x22;
const backslash = 0x5c;

/** A longer string is emptied: no figure, kind or name that a dialect reads is so long. */
const maxStringBytes = 256;
/** Maximum of what is kept. Beyond it, the text has no skeleton. */
const maxKeptBytes = 1024 * 1024;

/**
 * Keeps the shape of JSON text that arrives in pieces, in bounded memory: every member, but long strings empty and no numbers
 * in lists. Pictures, audio and embeddings vanish; usage stays where it was. Text that is not JSON has no useful skeleton.
 */
export class Skeleton {
  #kept = '';
  /** The last character kept. Reading it from the end of a growing text would copy the text each time. */
  #last = '[';
  /** The containers around the current position: true for an object. */
  readonly #open: boolean[] = [];
  /** The bytes of the current string (Latin-1), and their number; null: outside of strings. */
  #string: { text: string; bytes: number } | null = null;
  /** True if an odd number of backslashes ended the last piece. */
  #escaping = false;
  /** The current number, `true`, `false` or `null`. */
  #scalar = '';
  #isWhole = false;

  /** True once the outermost object or list has ended. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  push(piece: Buffer): void {
    let at = 0;
    while (at < piece.length && this.#kept.length <= maxKeptBytes) {
      if (this.#string !== null) at = this.#readString(this.#string, piece, at);
      else {
        this.#readByte(piece[at] as number);
        at += 1;
      }
    }
  }

  /** The skeleton so far, as JSON text; null if too much would have to be kept. */
  text(): Buffer | null {
    return this.#kept.length > maxKeptBytes ? null : Buffer.from(this.#kept, 'latin1');
  }

  #readByte(byte: number): void {
    if (byte === quote) {
      this.#string = { text: '', bytes: 0 };
      return;
    }
    if (byte <= 0x20) return;
    const character = String.fromCharCode(byte);
    switch (character) {
      case '{':
      case '[':
        this.#write(character);
        this.#open.push(character === '{');
        return;
      case '}':
      case ']':
        this.#endScalar();
        this.#keep(character);
        this.#open.pop();
        this.#isWhole ||= this.#open.length === 0;
        return;
      case ',':
        this.#endScalar();
        return;
      case ':':
        this.#keep(character);
        return;
      default:
        if (this.#scalar.length < maxStringBytes) this.#scalar += character;
    }
  }

  /** Reads to the end of the string or of the piece; returns the position after it. */
  #readString(string: { text: string; bytes: number }, piece: Buffer, from: number): number {
    let end = piece.indexOf(quote, from);
    while (end >= 0 && this.#isEscaped(piece, from, end)) end = piece.indexOf(quote, end + 1);
    const part = piece.subarray(from, end < 0 ? piece.length : end);
    string.bytes += part.length;
    if (string.bytes <= maxStringBytes) string.text += part.toString('latin1');
    if (end < 0) {
      this.#escaping = this.#isEscaped(piece, from, piece.length);
      return piece.length;
    }
    this.#write(string.bytes > maxStringBytes ? '""' : `"${string.text}"`);
    this.#string = null;
    this.#escaping = false;
    return end + 1;
  }

  /** True if an odd number of backslashes precedes `at`, also across the start of the piece. */
  #isEscaped(piece: Buffer, from: number, at: number): boolean {
    let first = at;
    while (first > from && piece[first - 1] === backslash) first -= 1;
    const carried = first === from && this.#escaping;
    return ((at - first) % 2 === 1) !== carried;
  }

  #endScalar(): void {
    const isListed = this.#open.at(-1) === false && /^[-\d]/.test(this.#scalar);
    if (this.#scalar !== '' && !isListed) this.#write(this.#scalar);
    this.#scalar = '';
  }

  /** Writes a value or a key, after a comma if it is not the first of its container. */
  #write(text: string): void {
    this.#keep('{[:'.includes(this.#last) ? text : `,${text}`);
  }

  #keep(text: string): void {
    this.#kept += text;
    this.#last = text.at(-1) ?? this.#last;
  }
}

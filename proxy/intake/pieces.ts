/** A parser reads so many bytes of lists and objects in two milliseconds at most. */
const maxPieceBytes = 16 * 1024;

/**
 * The parts of a large body that may be parsed at once: its largest lists and objects of at most 16 KiB, in order. Right for
 * valid JSON alone.
 */
export class Pieces {
  /** Where the open containers began, by depth. */
  readonly #openedAt: number[] = [];
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  #count = 0;
  #next = 0;

  open(depth: number, at: number): void {
    this.#openedAt[depth] = at;
  }

  close(depth: number, at: number): void {
    const start = this.#openedAt[depth] ?? 0;
    const end = at + 1;
    if (end - start > maxPieceBytes) return;
    // It holds the pieces within it.
    while (this.#count > 0 && (this.#starts[this.#count - 1] ?? 0) > start) this.#count -= 1;
    this.#starts[this.#count] = start;
    this.#ends[this.#count] = end;
    this.#count += 1;
  }

  /** The end of the piece that starts here; -1: none does. Positions ascend from call to call. */
  endOf(start: number): number {
    while (this.#next < this.#count && (this.#starts[this.#next] ?? 0) < start) this.#next += 1;
    return this.#next < this.#count && this.#starts[this.#next] === start ? (this.#ends[this.#next] ?? -1) : -1;
  }
}

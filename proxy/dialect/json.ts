/** A request body read unambiguously, with the byte ranges of its top-level members so that an edit touches nothing else. */
export interface JsonBody {
  readonly bytes: Buffer;
  readonly value: Readonly<Record<string, unknown>>;
  /** Byte range of each top-level member's value. */
  readonly members: ReadonlyMap<string, { readonly start: number; readonly end: number }>;
}

import { isNear, type KeyListing, type LimitListing } from '../keys/listing.ts';

/** Finds limits of which at least 80 % is used: each once in its window, however many keys it caps. */
export class NearLimits {
  #said: ReadonlySet<string> = new Set();

  /** Those that were not near at any earlier look in their window. `rows`: all keys. */
  look(rows: readonly Pick<KeyListing, 'limits'>[]): readonly LimitListing[] {
    const said = new Set<string>();
    const found: LimitListing[] = [];
    for (const limit of rows.flatMap(({ limits }) => limits)) {
      const name = `${limit.key} ${limit.window} ${limit.endsAt ?? ''}`;
      if (said.has(name)) continue;
      const isKnown = this.#said.has(name);
      if (!isKnown && !isNear(limit)) continue;
      said.add(name);
      if (!isKnown) found.push(limit);
    }
    this.#said = said;
    return found;
  }
}

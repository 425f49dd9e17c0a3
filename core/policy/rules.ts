import type { KeyDocument } from './documents.ts';
import { compilePattern } from './pattern.ts';

/** A document's model lists, compiled. */
export interface Rules {
  /** True if any list denies it, letter case aside: some providers accept names in any case. */
  denies(model: string): boolean;
  /** True if every list allows it; letter case counts. */
  allows(model: string): boolean;
}

const compiled = new WeakMap<KeyDocument, Rules>();

/** The rules of a document, compiled once: documents never change. */
export function rulesOf(document: KeyDocument): Rules {
  const known = compiled.get(document);
  if (known !== undefined) return known;
  const deny = document.models.deny.map((pattern) => compilePattern(pattern.toLowerCase()));
  const allow = document.models.allow.map((list) => list.map(compilePattern));
  const rules: Rules = {
    denies(model) {
      const folded = model.toLowerCase();
      return deny.some((matches) => matches(folded));
    },
    allows: (model) => allow.every((list) => list.some((matches) => matches(model))),
  };
  compiled.set(document, rules);
  return rules;
}

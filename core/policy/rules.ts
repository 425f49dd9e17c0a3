import type { KeyDocument } from './documents.ts';
import { compilePattern } from './pattern.ts';

/** A document's model lists, compiled. */
export interface Rules {
  /** By any list, letter case aside: some providers take names in any case, and a denial must hold there too. */
  denies(model: string): boolean;
  /** By every list; letter case counts. */
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

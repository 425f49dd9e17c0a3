import type { ModelMatch } from './types.ts';

/** True if an entry matches a model name, which must be in lower case. */
export type Matcher = (lowerCased: string) => boolean;

/**
 * Compiles a match once. Names compare without regard to case, and regular expressions see the lower-cased name.
 * These are the rules of genai-prices, so that its data keeps its meaning.
 */
export function compileMatch(match: ModelMatch): Matcher {
  if ('or' in match) {
    const parts = match.or.map(compileMatch);
    return (name) => parts.some((part) => part(name));
  }
  if ('and' in match) {
    const parts = match.and.map(compileMatch);
    return (name) => parts.every((part) => part(name));
  }
  if ('regex' in match) {
    const pattern = new RegExp(match.regex);
    return (name) => pattern.test(name);
  }
  return compileText(match);
}

function compileText(match: Exclude<ModelMatch, { or: unknown } | { and: unknown } | { regex: unknown }>): Matcher {
  if ('equals' in match) {
    const text = match.equals.toLowerCase();
    return (name) => name === text;
  }
  if ('startsWith' in match) {
    const text = match.startsWith.toLowerCase();
    return (name) => name.startsWith(text);
  }
  if ('endsWith' in match) {
    const text = match.endsWith.toLowerCase();
    return (name) => name.endsWith(text);
  }
  const text = match.contains.toLowerCase();
  return (name) => name.includes(text);
}

import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
  type YAMLError,
} from 'yaml';
import { defined } from '../../core/json.ts';
import type { RawDocument } from '../../core/manifest/parse.ts';
import type { Problem } from '../../core/problem.ts';

// Enough for any manifest that people write; a bomb of nested anchors exceeds it at once.
const maxAliases = 100;
const maxBytes = 4 * 1024 * 1024;

// The library's own messages quote the source, which may be a Secret.
const messages: Readonly<Partial<Record<YAMLError['code'], string>>> = {
  DUPLICATE_KEY: 'the same field is given twice in one mapping; keep one',
  BAD_ALIAS: 'an alias (*name) without its anchor (&name)',
  TAG_RESOLVE_FAILED: 'a tag (!name) that manifests do not use; remove it',
  TAB_AS_INDENT: 'tabs cannot indent YAML; use spaces',
  BAD_INDENT: 'the indentation does not fit the lines above, or a bracket is not closed',
  MISSING_CHAR: 'a closing quote, bracket, brace or comma is missing',
  RESOURCE_EXHAUSTION: 'nested too deeply',
};

/**
 * Reads YAML 1.2 or JSON, with any number of documents. A text with a syntax error gives no documents.
 * Problems name lines and never repeat the text, which may contain credentials.
 */
export function readYaml(
  file: string,
  text: string,
): { readonly documents: readonly RawDocument[]; readonly problems: readonly Problem[] } {
  const unreadable = (message: string, line?: number): Problem => ({
    code: 'unreadable_file',
    source: { file, ...defined({ line }) },
    message,
  });
  if (text.length > maxBytes) return { documents: [], problems: [unreadable(`larger than ${maxBytes} bytes; split it`)] };
  const lines = new LineCounter();
  const lineAt = (offset: number): number => Math.max(1, lines.linePos(offset).line);
  try {
    const parsed = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true, logLevel: 'silent' });
    const errors = [...parsed].flatMap((document) => [...document.errors, ...document.warnings]);
    const problems = errors.map((error) =>
      unreadable(`not valid YAML: ${messages[error.code] ?? 'the text cannot be read here'}`, lineAt(error.pos[0])),
    );
    if (problems.length > 0) return { documents: [], problems };
    const documents = [...parsed].map((document) => rawDocument(file, document, lineAt));
    return { documents: documents.filter(({ value }) => value !== null), problems };
  } catch {
    // With too many aliases or too deep nesting, the library throws instead of reporting.
    const message = 'not readable: aliases (*name) multiply or nest beyond reason; write the values out';
    return { documents: [], problems: [unreadable(message)] };
  }
}

function rawDocument(file: string, document: Document.Parsed, lineAt: (offset: number) => number): RawDocument {
  const value: unknown = document.toJS({ maxAliasCount: maxAliases });
  return {
    file,
    line: lineAt(document.contents?.range?.[0] ?? 0),
    value,
    lineOf(path) {
      let node: Node | null | undefined = document.contents;
      let offset = node?.range?.[0];
      for (const step of path) {
        const child = childOf(document, node, step);
        if (child === null) return undefined;
        node = child.node;
        offset = child.offset;
      }
      return offset === undefined ? undefined : lineAt(offset);
    },
  };
}

interface Child {
  readonly node: Node | null;
  /** Where the field's name or the item begins. */
  readonly offset: number | undefined;
}

function childOf(document: Document.Parsed, parent: Node | null | undefined, step: string | number): Child | null {
  const node = isAlias(parent) ? (parent as Alias).resolve(document) : parent;
  if (isSeq(node) && typeof step === 'number') {
    const item = node.items[step] as Node | undefined;
    return item === undefined ? null : { node: item, offset: item.range?.[0] };
  }
  if (!isMap(node)) return null;
  const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
  return pair === undefined ? null : { node: pair.value as Node | null, offset: (pair.key as Node).range?.[0] };
}

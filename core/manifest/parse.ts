import type { Problem } from '../errors.ts';
import { readNamespace } from './namespace.ts';
import { readProviderPool } from './provider-pool.ts';
import { formatPath, oneOf, type Path, type Place, rootPlace } from './reader.ts';
import { readSecret } from './secret.ts';
import type { Manifests, Namespace, Origin, PlainSecret, ProviderPool, VirtualKey } from './types.ts';
import { readPolicy, readVirtualKey } from './virtual-key.ts';

/** One document as a source read it: plain JSON values, with the lines they came from. */
export interface RawDocument {
  readonly file: string;
  /** 1-based line of the document's start. */
  readonly line: number;
  readonly value: unknown;
  /** 1-based line of a value; undefined where the path is not in the document. */
  lineOf(path: Path): number | undefined;
}

type Manifest = VirtualKey | ProviderPool | Namespace | PlainSecret;

const kinds = ['VirtualKey', 'ProviderPool', 'Namespace', 'Secret'] as const;

const readers: Readonly<Record<(typeof kinds)[number], (value: unknown, at: Place, origin: Origin) => Manifest | undefined>> = {
  VirtualKey: readVirtualKey,
  ProviderPool: readProviderPool,
  Namespace: readNamespace,
  Secret: readSecret,
};

function readDocument(value: unknown, at: Place, origin: Origin): Manifest | undefined {
  const fields = typeof value === 'object' && value !== null ? value : {};
  if ('kind' in fields) {
    const kind = oneOf(kinds)(fields.kind, at.at('kind'));
    return kind && readers[kind](value, at, origin);
  }
  if ('metadata' in fields || 'apiVersion' in fields) return at.at('kind').report(`kind is required: one of ${kinds.join(', ')}`);
  return readPolicy(value, at, origin);
}

// A missing field has no line of its own: its nearest ancestor's is the place to look.
function nearestLine(document: RawDocument, path: Path): number {
  for (let length = path.length; length > 0; length -= 1) {
    const line = document.lineOf(path.slice(0, length));
    if (line !== undefined) return line;
  }
  return document.line;
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
  const found = new Map<string, Manifest>();
  for (const document of documents) {
    if (document.value === null || document.value === undefined) continue;
    const before = problems.length;
    const at = rootPlace((path, message) => {
      const place = path.length === 0 ? {} : { path: formatPath(path) };
      problems.push({ where: document.file, line: nearestLine(document, path), ...place, message });
    });
    const manifest = readDocument(document.value, at, { file: document.file, line: document.line });
    if (manifest === undefined || problems.length > before) continue;
    const id = `${manifest.kind} ${manifest.name}`;
    const first = found.get(id);
    if (first === undefined) found.set(id, manifest);
    else at.report(`${id} is defined twice; the first is at ${first.origin.file}:${first.origin.line}`);
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

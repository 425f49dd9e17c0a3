import { namespaceMetadata } from './metadata.ts';
import { ignored, object, oneOf, type Place } from './reader.ts';
import type { Namespace, Origin } from './types.ts';

const envelope = object({ apiVersion: oneOf(['v1']), kind: ignored, metadata: namespaceMetadata, spec: ignored, status: ignored }, [
  'metadata',
]);

/** Reads a Namespace: its name and its labels. */
export function readNamespace(value: unknown, at: Place, origin: Origin): Namespace | undefined {
  const fields = envelope(value, at);
  return fields?.metadata && { kind: 'Namespace', origin, ...fields.metadata };
}

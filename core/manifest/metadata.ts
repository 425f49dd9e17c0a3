import { dnsLabel, dnsName } from './names.ts';
import { ignored, object, type Place, record, shortText, text } from './reader.ts';
import type { NamespaceSelector } from './types.ts';

// What the API server writes itself and `kubectl get -o yaml` prints.
const serverMade = {
  uid: ignored,
  resourceVersion: ignored,
  creationTimestamp: ignored,
  deletionTimestamp: ignored,
  deletionGracePeriodSeconds: ignored,
  generation: ignored,
  managedFields: ignored,
  ownerReferences: ignored,
  finalizers: ignored,
};

const namespaced = object({ name: dnsName, namespace: dnsLabel, labels: record(text), annotations: record(text), ...serverMade }, ['name']);
const clusterWide = object({ name: dnsLabel, labels: record(text), annotations: record(text), ...serverMade }, ['name']);

/** `metadata` of a namespaced object; an absent namespace is `default`. Name is empty where a problem was reported. */
export function metadata(value: unknown, at: Place): { readonly namespace: string; readonly name: string } {
  const fields = namespaced(value, at);
  return { namespace: fields?.namespace ?? 'default', name: fields?.name ?? '' };
}

/** `metadata` of a Namespace, with its labels. */
export function namespaceMetadata(value: unknown, at: Place): { readonly name: string; readonly labels: Readonly<Record<string, string>> } {
  const fields = clusterWide(value, at);
  return { name: fields?.name ?? '', labels: fields?.labels ?? {} };
}

const selector = object({ matchLabels: record(shortText, 32) });

/** `{}` or `{matchLabels: {…}}`. */
export function namespaceSelector(value: unknown, at: Place): NamespaceSelector | undefined {
  const fields = selector(value, at);
  return fields && { matchLabels: fields.matchLabels ?? {} };
}

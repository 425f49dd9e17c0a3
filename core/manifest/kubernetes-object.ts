import { isObject } from '../json.ts';
import { apiVersion } from '../names.ts';
import { dnsLabel, dnsName, isSecretItem } from './names.ts';
import { ignored, object, oneOf, type Place, type Read, record, shortText, text } from './reader.ts';
import type { Namespace, NamespaceSelector, PlainSecret } from './types.ts';

// Fields that the API server writes and `kubectl get -o yaml` prints.
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

const defaultNamespace = 'default';
const metadata = object({ name: dnsName }, { namespace: dnsLabel, labels: record(text), annotations: record(text), ...serverMade });
const clusterWide = object({ name: dnsLabel }, { labels: record(text), annotations: record(text), ...serverMade });

/** The namespace in an object's metadata, even if the rest of the object is wrong; default: `default`. */
function namespaceOf(value: unknown): string {
  const given = isObject(value) && isObject(value['metadata']) ? value['metadata']['namespace'] : undefined;
  return typeof given === 'string' ? given : defaultNamespace;
}

/** Reads a KeyForge object: its name and its spec. A reference without a namespace means the object's own. */
export function customObject<S>(
  specIn: (namespace: string) => Read<S>,
): Read<{ readonly namespace: string; readonly name: string; readonly spec: S }> {
  return (value, at) => {
    const optional = { apiVersion: oneOf([apiVersion]), kind: ignored, status: ignored };
    const fields = object({ metadata, spec: specIn(namespaceOf(value)) }, optional)(value, at);
    if (fields === undefined) return undefined;
    const { name, namespace = defaultNamespace } = fields.metadata;
    return { namespace, name, spec: fields.spec };
  };
}

const selector = object({}, { matchLabels: record(shortText, 32) });

/** `{}` or `{matchLabels: {…}}`. */
export function namespaceSelector(value: unknown, at: Place): NamespaceSelector | undefined {
  const fields = selector(value, at);
  return fields && { matchLabels: fields.matchLabels ?? {} };
}

const namespace = object({ metadata: clusterWide }, { apiVersion: oneOf(['v1']), kind: ignored, spec: ignored, status: ignored });

/** Reads a Namespace: its name and its labels. */
export function readNamespace(value: unknown, at: Place): Namespace | undefined {
  const fields = namespace(value, at);
  return fields && { kind: 'Namespace', name: fields.metadata.name, labels: fields.metadata.labels ?? {} };
}

/**
 * Items of a Secret. Problems carry neither values nor item names: YAML reads `{key:sk-…}`, which lacks a space,
 * as an item whose name is the credential.
 */
function items(decode: (text: string) => string | null, rule: string): Read<Readonly<Record<string, string>>> {
  return (value, at) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      return at.report(`${at.label} must be a mapping of names to ${rule}`);
    const given = Object.entries(value);
    const read = given.flatMap(([name, item]: [string, unknown], index) => {
      const nth = `item ${index + 1} of ${at.label}`;
      const isNamed = isSecretItem(name);
      if (!isNamed)
        at.report(`${nth} has a name with other characters than letters, digits, "-", "_" and "." (is a space missing after the colon?)`);
      const text = typeof item === 'string' ? decode(item) : null;
      if (text === null) at.report(`${nth} must be ${rule}`);
      return isNamed && text !== null ? [[name, text] as const] : [];
    });
    return read.length === given.length ? Object.fromEntries(read) : undefined;
  };
}

const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

function decodeBase64(text: string): string | null {
  const packed = text.replace(/\s+/g, '');
  return base64.test(packed) ? Buffer.from(packed, 'base64').toString('utf8') : null;
}

const secret = object(
  { metadata },
  {
    apiVersion: oneOf(['v1']),
    kind: ignored,
    type: ignored,
    immutable: ignored,
    data: items(decodeBase64, 'a base64 string'),
    stringData: items((text) => text, 'a string (quote numbers)'),
  },
);

/** Reads a plain Secret; `stringData` wins over `data`, as in Kubernetes. */
export function readSecret(value: unknown, at: Place): PlainSecret | undefined {
  const fields = secret(value, at);
  if (fields === undefined) return undefined;
  const { name, namespace = defaultNamespace } = fields.metadata;
  return { kind: 'Secret', name: `${namespace}/${name}`, data: { ...fields.data, ...fields.stringData } };
}

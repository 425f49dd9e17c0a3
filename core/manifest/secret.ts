import { metadata } from './metadata.ts';
import { isSecretItem } from './names.ts';
import { ignored, object, oneOf, type Place, type Read } from './reader.ts';
import type { Origin, PlainSecret } from './types.ts';

/**
 * Items of a Secret. Problems carry neither values nor item names: of `{key:sk-…}`, which lacks a space,
 * YAML makes an item whose name is the credential.
 */
function items(decode: (text: string) => string | null, rule: string): Read<Readonly<Record<string, string>>> {
  return (value, at) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      return at.report(`${at.label} must be a mapping of names to ${rule}`);
    const entries = Object.entries(value).map(([name, item]: [string, unknown], index) => {
      const nth = `item ${index + 1} of ${at.label}`;
      if (!isSecretItem(name))
        at.report(`${nth} has a name with other characters than letters, digits, "-", "_" and "." (is a space missing after the colon?)`);
      const text = typeof item === 'string' ? decode(item) : null;
      if (text === null) at.report(`${nth} must be ${rule}`);
      return [name, text ?? ''] as const;
    });
    return Object.fromEntries(entries);
  };
}

const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

function decodeBase64(text: string): string | null {
  const packed = text.replace(/\s+/g, '');
  return base64.test(packed) ? Buffer.from(packed, 'base64').toString('utf8') : null;
}

const envelope = object(
  {
    apiVersion: oneOf(['v1']),
    kind: ignored,
    metadata,
    type: ignored,
    immutable: ignored,
    data: items(decodeBase64, 'a base64 string'),
    stringData: items((text) => text, 'a string (quote numbers)'),
  },
  ['metadata'],
);

/** Reads a plain Secret; `stringData` wins over `data`, as in Kubernetes. */
export function readSecret(value: unknown, at: Place, origin: Origin): PlainSecret | undefined {
  const fields = envelope(value, at);
  if (fields?.metadata === undefined) return undefined;
  const { namespace, name } = fields.metadata;
  return { kind: 'Secret', name: `${namespace}/${name}`, origin, data: { ...fields.data, ...fields.stringData } };
}

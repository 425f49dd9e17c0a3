import { baseUrls } from '../../core/base-urls.ts';
import { defined } from '../../core/json.ts';
import type { VirtualKeySpec } from '../../core/manifest/types.ts';
import { formatUsd } from '../../core/money.ts';
import { apiVersion, type KeyName } from '../../core/names.ts';
import { describePolicy } from '../../core/policy/describe.ts';
import type { KeyDocument } from '../../core/policy/documents.ts';
import type { JsonPatchOperation, KubeObject, OwnerReference } from '../kube/types.ts';
import { managedLabel, managedValue } from '../labels.ts';

/** The input of a key's token Secret. */
interface TokenSecretInput {
  readonly owner: KubeObject;
  readonly name: string;
  /** A secret. */
  readonly token: string;
  readonly document: KeyDocument;
  /** The origin that accepts the token: `http://HOST`, without a path. */
  readonly origin: string;
  /** From the root of the path to the key itself. */
  readonly path: readonly { readonly key: KeyName; readonly spec: VirtualKeySpec }[];
}

/** The owner of a Secret. KeyForge never writes to `other`, which belongs to somebody else or to an earlier key of this name. */
export function ownershipOf(secret: KubeObject | null, owner: KubeObject): 'none' | 'ours' | 'other' {
  if (secret === null) return 'none';
  const { labels = {}, ownerReferences = [] } = secret.metadata;
  const isOwner = ownerReferences.some(({ kind, uid }) => kind === 'VirtualKey' && uid === owner.metadata.uid);
  return isOwner && labels[managedLabel] === managedValue ? 'ours' : 'other';
}

/** Makes the wanted token Secret. The garbage collector removes it with its key, also while no operator runs. */
export function tokenSecret(input: TokenSecretInput): KubeObject {
  const { owner, name, token, origin } = input;
  const urls = baseUrls(origin);
  const items = {
    'api-key': token,
    'openai-base-url': urls.openai,
    'anthropic-base-url': urls.anthropic,
    'gemini-base-url': urls.gemini,
    'policy.json': `${JSON.stringify(policyText(input), null, 2)}\n`,
  };
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'Opaque',
    metadata: {
      name,
      ...defined({ namespace: owner.metadata.namespace }),
      labels: { [managedLabel]: managedValue },
      ownerReferences: [ownerReference(owner, owner.metadata.uid ?? '')],
    },
    data: Object.fromEntries(Object.entries(items).map(([item, text]) => [item, Buffer.from(text).toString('base64')])),
  };
}

/** The token in a token Secret, if any; a secret. */
export function tokenIn(secret: KubeObject | null): string | undefined {
  const { 'api-key': packed } = (secret?.['data'] ?? {}) as { readonly 'api-key'?: string };
  return packed === undefined ? undefined : Buffer.from(packed, 'base64').toString();
}

/** True if our Secret has the wanted content, so that nothing must be written. Items that others added are ignored. */
export function holds(secret: KubeObject | null, wanted: KubeObject): boolean {
  const held = new Map(Object.entries(secret?.['data'] ?? {}));
  return Object.entries(wanted['data'] ?? {}).every(([item, value]) => held.get(item) === value);
}

/**
 * Removes the token from our Secret and names an owner that does not exist, so that the garbage collector deletes the Secret.
 * The operator needs no permission to delete Secrets in the users' namespaces.
 */
export function retirement(secret: KubeObject, owner: KubeObject): readonly JsonPatchOperation[] {
  const noOwner = ownerReference(owner, '00000000-0000-0000-0000-000000000000');
  return [
    { op: 'test', path: '/metadata/uid', value: secret.metadata.uid },
    { op: 'add', path: '/data', value: {} },
    { op: 'add', path: '/metadata/ownerReferences', value: [noOwner] },
  ];
}

function ownerReference(owner: KubeObject, uid: string): OwnerReference {
  return { apiVersion, kind: 'VirtualKey', name: owner.metadata.name, uid, controller: true };
}

/** The effective policy for people, with the limits and rates of each key on its path. */
function policyText({ document, path }: TokenSecretInput): unknown {
  // The rates below have each key's limit of concurrent calls.
  const { perRequest, concurrentCalls: _, expiresAt, suspendedBy, delegation, ...scope } = describePolicy(document);
  const limits = path.flatMap(({ key, spec }) =>
    spec.limits.map(({ usdNano, ...limit }) => ({
      key,
      ...limit,
      ...defined({ usd: usdNano === undefined ? undefined : formatUsd(usdNano) }),
    })),
  );
  const rates = path.flatMap(({ key, spec }) => (Object.keys(spec.rate).length === 0 ? [] : [{ key, ...spec.rate }]));
  return { ...scope, limits, rates, perRequest, ...defined({ expiresAt, suspendedBy, delegation }) };
}

import type { VirtualKeySpec } from '../../../core/manifest/types.ts';
import type { KeyName, PoolName } from '../../../core/names.ts';
import type { KeyDocument } from '../../../core/policy/documents.ts';
import { tokenHint } from '../../../core/token.ts';
import { agentPort } from '../../inject/names.ts';
import { holds, ownershipOf, tokenSecret } from '../../keys/token-secret.ts';
import type { KubeObject } from '../../kube/types.ts';
import type { Verdict } from '../policy/fallback.ts';
import type { Told } from '../reasons.ts';
import { statusOf } from '../status-writer.ts';
import { type End, keyConditions, type Spend, type Stated } from './status.ts';

/** Secrets of users are not watched, as we may not list them: each is looked at again after this long, if nothing happens before. */
const resyncMs = 300_000;
/** A Secret in the way may be deleted, or be about to be collected with an earlier key of this name. */
const conflictMs = 10_000;
/** The sidecar's. */
const loopback = `http://127.0.0.1:${agentPort}`;

/** Everything that a key's state is decided from. */
export interface Gathered {
  readonly key: KeyName;
  readonly object: KubeObject;
  readonly verdict: Verdict;
  /** What is served, which may be an older version. */
  readonly spec: VirtualKeySpec | undefined;
  readonly document: KeyDocument | null;
  /** A secret. */
  readonly token: string | null;
  /** From the root to the key itself, as they are served. */
  readonly path: readonly { readonly key: KeyName; readonly spec: VirtualKeySpec }[];
  readonly secretName: string;
  /** The Secret of that name. */
  readonly secret: KubeObject | null;
  /** Where the token was before `secretName` changed. */
  readonly former: KubeObject | null;
  /** Why the API server would not have one of these Secrets written; null: nothing was tried yet. */
  readonly refused: string | null;
  readonly spend: Spend;
  readonly isCapped: boolean;
  readonly end: End | null;
  readonly unserved: ReadonlyMap<PoolName, string>;
  /** The last value of the annotation that was acted upon. */
  readonly rotated: string | undefined;
  readonly gatewayUrl: string | null;
  readonly nowMs: number;
}

/** What is to be done. */
export interface Decision {
  /** Null: the token Secret stays as it is. */
  readonly write: { readonly kind: 'create' | 'apply'; readonly wanted: KubeObject } | null;
  /** Secrets of ours that hold a token of this key and should not. */
  readonly retire: readonly KubeObject[];
  readonly conditions: readonly Stated[];
  /** The rest of the status. */
  readonly fields: Readonly<Record<string, unknown>>;
  readonly againInMs: number;
}

/** The name of a key's token Secret: what is served decides, since a spec that is refused changes nothing. */
export function secretNameOf(object: KubeObject, { serving }: Verdict, spec: VirtualKeySpec | undefined): string {
  const told = statusOf(object)['secretName'];
  if (serving === 'nothing' && typeof told === 'string') return told;
  return spec?.secretName ?? object.metadata.name;
}

/** What to do about one key. Pure. */
export function decide(gathered: Gathered): Decision {
  const { object, spec, token, secret, nowMs, spend, rotated } = gathered;
  const use = useOf(gathered);
  const obstacle = obstacleTo(gathered, use);
  return {
    write: obstacle === null && use === 'token' ? writeOf(gathered, ownershipOf(secret, object)) : null,
    retire: obstacle === null ? retired(gathered, use) : [],
    conditions: keyConditions({ ...gathered, spec, hasToken: token !== null, obstacle }),
    fields: {
      ...(token !== null && { keyHint: tokenHint(token) }),
      ...spend,
      ...shownSecret(gathered, use, obstacle),
      ...(rotated !== undefined && { rotated }),
    },
    againInMs: Math.min(obstacle === null ? resyncMs : conflictMs, untilEnd(gathered.end, nowMs)),
  };
}

/** What a key is for. Of one that is not served everything stays: its token may work again once it is mended. */
function useOf({ verdict, spec }: Gathered): 'token' | 'budget' | 'nothing' {
  if (verdict.serving === 'nothing' || spec === undefined) return 'nothing';
  return spec.issueToken ? 'token' : 'budget';
}

function writeOf(gathered: Gathered, ownership: 'none' | 'ours' | 'other'): Decision['write'] {
  const { object, spec, secretName, secret, token, document, path, gatewayUrl } = gathered;
  if (token === null || document === null) return null;
  // Injected containers have the sidecar's address as it is: who reads it here has none.
  const origin = spec?.delivery.includes('Gateway') === true && gatewayUrl !== null ? gatewayUrl : loopback;
  const wanted = tokenSecret({ owner: object, name: secretName, token, document, path, origin });
  if (ownership === 'none') return { kind: 'create', wanted };
  return holds(secret, wanted) ? null : { kind: 'apply', wanted };
}

function retired({ object, secret, former }: Gathered, use: ReturnType<typeof useOf>): readonly KubeObject[] {
  if (use === 'nothing') return [];
  const stale = use === 'budget' ? [former, secret] : [former];
  return stale.filter((old) => old !== null && ownershipOf(old, object) === 'ours').filter((old) => old !== null);
}

/** Where the token is; past an obstacle still where it was before, so that it is taken out there once it can be. */
function shownSecret({ object, secretName }: Gathered, use: ReturnType<typeof useOf>, obstacle: Told | null) {
  if (use === 'token' && obstacle === null) return { secretName };
  const told = statusOf(object)['secretName'];
  return typeof told === 'string' && (use !== 'budget' || obstacle !== null) ? { secretName: told } : {};
}

function untilEnd(end: End | null, nowMs: number): number {
  const leftMs = (end?.atMs ?? 0) - nowMs;
  return leftMs > 0 ? leftMs + 1 : Number.POSITIVE_INFINITY;
}

function obstacleTo({ object, secretName, secret, refused }: Gathered, use: ReturnType<typeof useOf>): Told | null {
  if (refused !== null) return { reason: 'SecretRefused', message: refused };
  if (use !== 'token' || ownershipOf(secret, object) !== 'other') return null;
  return { reason: 'SecretConflict', message: conflictWith(secretName, secret, object) };
}

function conflictWith(name: string, secret: KubeObject | null, owner: KubeObject): string {
  const earlier = secret?.metadata.ownerReferences?.some(({ kind, name }) => kind === 'VirtualKey' && name === owner.metadata.name);
  if (earlier) return `Secret ${name} belongs to an earlier VirtualKey of this name; the garbage collector is about to remove it`;
  return `Secret ${name} exists and is not this key's; it is never overwritten. Delete it, or choose another name in spec.secretName`;
}

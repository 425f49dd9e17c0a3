import { defined } from '../../../core/json.ts';
import type { VirtualKeySpec } from '../../../core/manifest/types.ts';
import type { KeyName } from '../../../core/names.ts';
import type { KeyDocument } from '../../../core/policy/documents.ts';
import { tokenHint } from '../../../core/token.ts';
import { agentPort } from '../../inject/names.ts';
import type { LimitListing } from '../../keys/listing.ts';
import { holds, ownershipOf, tokenSecret } from '../../keys/token-secret.ts';
import type { KubeObject } from '../../kube/types.ts';
import type { NewCondition } from '../conditions.ts';
import type { Verdict } from '../policy/fallback.ts';
import type { Explanation } from '../reasons.ts';
import { statusOf } from '../status-writer.ts';
import type { End, Spend } from './spend.ts';
import { keyConditions } from './status.ts';

/** RBAC forbids the operator to list users' Secrets, so it cannot watch them. It re-reads each after this time at the latest. */
const resyncMs = 300_000;
/** Retry time of a conflicting Secret, which may be deleted, or be garbage-collected with an earlier key of this name. */
const conflictMs = 10_000;
/** Address of the sidecar. */
const loopback = `http://127.0.0.1:${agentPort}`;

/** Everything that `decide` reads. */
export interface Gathered {
  readonly key: KeyName;
  readonly object: KubeObject;
  readonly verdict: Verdict;
  /** The version in force, which may be older than the declared one. */
  readonly spec: VirtualKeySpec | undefined;
  readonly document: KeyDocument | null;
  /** A secret. */
  readonly token: string | null;
  /** From the root to the key itself, in the versions in force. */
  readonly path: readonly { readonly key: KeyName; readonly spec: VirtualKeySpec }[];
  readonly secretName: string;
  /** The current Secret of that name. */
  readonly secret: KubeObject | null;
  /** The Secret that held the token before `secretName` changed. */
  readonly former: KubeObject | null;
  /** Why the API server refused to write one of these Secrets; null: it did not, or nothing was tried yet. */
  readonly refused: string | null;
  readonly spend: Spend;
  readonly isCapped: boolean;
  readonly near: LimitListing | null;
  readonly end: End | null;
  /** The last value of the annotation for which a rotation was made. */
  readonly rotated: string | undefined;
  readonly gatewayUrl: string | null;
  readonly nowMs: number;
}

/** The decision about one key. */
export interface Decision {
  /** Null: the token Secret does not change. */
  readonly write: { readonly kind: 'create' | 'apply'; readonly wanted: KubeObject } | null;
  /** Our Secrets that hold a token of this key and should not. */
  readonly retire: readonly KubeObject[];
  readonly conditions: readonly NewCondition[];
  /** The rest of the status. */
  readonly fields: Readonly<Record<string, unknown>>;
  readonly againInMs: number;
}

/** The name of a key's token Secret, from the version in force: a refused spec changes nothing. */
export function secretNameOf(object: KubeObject, { serving }: Verdict, spec: VirtualKeySpec | undefined): string {
  const { secretName: reported } = statusOf(object);
  if (serving === 'nothing' && typeof reported === 'string') return reported;
  return spec?.secretName ?? object.metadata.name;
}

/** Makes the decision about one key. Pure. */
export function decide(gathered: Gathered): Decision {
  const { object, token, secret, nowMs, spend, rotated } = gathered;
  const use = useOf(gathered);
  const obstacle = obstacleTo(gathered, use);
  return {
    write: obstacle === null && use === 'token' ? writeOf(gathered, ownershipOf(secret, object)) : null,
    retire: obstacle === null ? retired(gathered, use) : [],
    conditions: keyConditions({ ...gathered, hasToken: token !== null, obstacle }),
    fields: {
      ...spend,
      ...defined({ keyHint: token === null ? undefined : tokenHint(token), secretName: reportedSecret(gathered, use, obstacle), rotated }),
    },
    againInMs: Math.min(obstacle === null ? resyncMs : conflictMs, untilEnd(gathered.end, nowMs)),
  };
}

type Use = 'token' | 'budget' | 'nothing';

/** What a key is for. If no version is served, its Secret does not change: the token may work again once the key is valid. */
function useOf({ verdict, spec }: Gathered): Use {
  if (verdict.serving === 'nothing' || spec === undefined) return 'nothing';
  return spec.issueToken ? 'token' : 'budget';
}

function writeOf(gathered: Gathered, ownership: 'none' | 'ours' | 'other'): Decision['write'] {
  const { object, spec, secretName, secret, token, document, path, gatewayUrl } = gathered;
  if (token === null || document === null) return null;
  // Injected containers already have the sidecar's address. The address in the Secret is for callers without a sidecar.
  const origin = spec?.delivery.includes('Gateway') === true && gatewayUrl !== null ? gatewayUrl : loopback;
  const wanted = tokenSecret({ owner: object, name: secretName, token, document, path, origin });
  if (ownership === 'none') return { kind: 'create', wanted };
  return holds(secret, wanted) ? null : { kind: 'apply', wanted };
}

function retired({ object, secret, former }: Gathered, use: Use): readonly KubeObject[] {
  if (use === 'nothing') return [];
  const stale = use === 'budget' ? [former, secret] : [former];
  return stale.filter((old) => old !== null && ownershipOf(old, object) === 'ours').filter((old) => old !== null);
}

/** The Secret that holds the token. With an obstacle, the previous one, so that the token is removed from there later. */
function reportedSecret({ object, secretName }: Gathered, use: Use, obstacle: Explanation | null): string | undefined {
  if (use === 'token' && obstacle === null) return secretName;
  const { secretName: reported } = statusOf(object);
  return typeof reported === 'string' && (use !== 'budget' || obstacle !== null) ? reported : undefined;
}

function untilEnd(end: End | null, nowMs: number): number {
  const leftMs = (end?.atMs ?? 0) - nowMs;
  return leftMs > 0 ? leftMs + 1 : Number.POSITIVE_INFINITY;
}

function obstacleTo({ object, secretName, secret, refused }: Gathered, use: Use): Explanation | null {
  if (refused !== null) return { reason: 'SecretRefused', message: refused };
  if (use !== 'token' || ownershipOf(secret, object) !== 'other') return null;
  return { reason: 'SecretConflict', message: conflictWith(secretName, secret, object) };
}

function conflictWith(name: string, secret: KubeObject | null, owner: KubeObject): string {
  const earlier = secret?.metadata.ownerReferences?.some(({ kind, name }) => kind === 'VirtualKey' && name === owner.metadata.name);
  if (earlier) return `Secret ${name} belongs to an earlier VirtualKey of this name; the garbage collector will remove it soon`;
  return `Secret ${name} exists and belongs to another owner; KeyForge never overwrites it. Delete it, or choose another name in spec.secretName`;
}

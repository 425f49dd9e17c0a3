import { hash } from 'node:crypto';
import { defined } from '../../core/json.ts';
import type { KeyName } from '../../core/names.ts';
import type { ServedKey, Snapshot } from '../../core/protocol/snapshot.ts';
import { runKey } from '../keys/children.ts';
import type { LiveState } from '../keys/live-state.ts';
import type { Tokens } from '../keys/tokens.ts';
import type { TokenRow } from '../store/types.ts';
import type { Scope, SidecarScope } from './scope.ts';

/**
 * Makes the snapshot of one proxy: its keys, the pools that they use and those pools' credentials, and nothing else. A key
 * without a valid token stays listed, so that its money is released properly.
 */
export function snapshotFor(live: LiveState, scope: Scope): Snapshot {
  if (scope.kind === 'standalone') {
    const keys = [...live.documents.keys()].flatMap((key) => servedKey(live, key, tokensNow(live, key)));
    return { kind: 'snapshot', revision: live.revision, keys, pools: live.pools, credentials: live.policy.credentials };
  }
  const keys = scope.kind === 'sidecar' ? sidecarKeys(live, scope) : gatewayKeys(live);
  const used = new Set(keys.flatMap(({ document }) => document.pools));
  return {
    kind: 'snapshot',
    revision: live.revision,
    keys,
    pools: live.pools.filter(({ pool }) => used.has(pool)),
    credentials: live.policy.credentials.filter(({ pool }) => used.has(pool)),
  };
}

/** A text that differs if two snapshots of one scope differ in more than their revision. */
export function signatureOf({ keys, pools, credentials }: Snapshot): string {
  const parts = {
    keys: keys.map(({ document, tokens }) => [document.digest, tokens]),
    pools: pools.map(({ models: _, book: __, ...rest }) => rest),
    credentials,
  };
  return hash('sha256', JSON.stringify(parts));
}

/** After a rotation, the Secret may hold the old token for this time, and a Pod may start with it. */
const secretLagMs = 60_000;

/** The Pod's key or its run's, with every token that the Pod may have started with, and its sub-agent keys. */
function sidecarKeys(live: LiveState, { key, run, podCreatedAtMs }: SidecarScope): readonly ServedKey[] {
  const spec = live.specs.get(key);
  if (spec?.delivery.includes('Sidecar') !== true) return [];
  const root = spec.run === undefined ? key : runKey(key, spec.run, run);
  const { current, expiring, expired } = live.tokens.get(key) ?? noTokens;
  const known = [...expiring, ...expired].filter(({ validUntilMs = 0 }) => validUntilMs > podCreatedAtMs - secretLagMs);
  // On a Pod's own loopback, tokens of its lifetime do not expire.
  const tokens = [...(current === null ? [] : [current]), ...known].map(({ id, hint }) => ({ id, hint }));
  return [...servedKey(live, root, tokens), ...subAgents(live, root)];
}

function gatewayKeys(live: LiveState): readonly ServedKey[] {
  const declared = [...live.specs].filter(([, { delivery }]) => delivery.includes('Gateway')).map(([key]) => key);
  return declared.flatMap((key) => [...servedKey(live, key, tokensNow(live, key)), ...subAgents(live, key)]);
}

function subAgents(live: LiveState, of: KeyName): readonly ServedKey[] {
  return (live.minted.get(of) ?? []).flatMap(({ key }) => [...servedKey(live, key, tokensNow(live, key)), ...subAgents(live, key)]);
}

function servedKey({ documents }: LiveState, key: KeyName, tokens: ServedKey['tokens']): readonly ServedKey[] {
  const document = documents.get(key);
  return document === undefined ? [] : [{ document, tokens }];
}

const noTokens: Tokens = { current: null, expiring: [], expired: [], revoked: false };

function tokensNow(live: LiveState, key: KeyName): ServedKey['tokens'] {
  const { current, expiring } = live.tokens.get(key) ?? noTokens;
  return [...(current === null ? [] : [current]), ...expiring].map(servedToken);
}

function servedToken({ id, hint, validUntilMs }: TokenRow): ServedKey['tokens'][number] {
  return { id, hint, ...defined({ validUntilMs }) };
}

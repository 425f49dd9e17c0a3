import { defined } from '../json.ts';
import { formatUsd } from '../money.ts';
import type { KeyDocument } from './documents.ts';

/** A key's effective policy for people: in the token Secret's `policy.json` and in `GET /keyforge/v1/self`. */
export interface PolicyView
  extends Pick<
    KeyDocument,
    'key' | 'path' | 'digest' | 'owner' | 'labels' | 'pools' | 'models' | 'endpoints' | 'concurrentCalls' | 'suspendedBy' | 'delegation'
  > {
  readonly perRequest: {
    /** Dollars, as a decimal. */
    readonly usd?: string;
    readonly outputTokens?: number;
  };
  /** RFC 3339. */
  readonly expiresAt?: string;
}

/** Writes a policy for people: money in dollars, times as dates. The order of its fields is the order in `policy.json`. */
export function describePolicy(document: KeyDocument): PolicyView {
  const { key, path, digest, owner, labels, pools, models, endpoints, perRequest } = document;
  const { concurrentCalls, expiresAtMs, suspendedBy, delegation } = document;
  const { usdNano, outputTokens } = perRequest;
  return {
    key,
    path,
    digest,
    owner,
    labels,
    pools,
    models,
    ...defined({ endpoints }),
    perRequest: defined({ usd: usdNano === undefined ? undefined : formatUsd(usdNano), outputTokens }),
    ...defined({
      concurrentCalls,
      expiresAt: expiresAtMs === undefined ? undefined : new Date(expiresAtMs).toISOString(),
      suspendedBy,
      delegation,
    }),
  };
}

import type { ServedKey, Snapshot } from '../../core/control.ts';
import type { KeyName } from '../../core/key.ts';
import type { Compiled } from '../../core/policy/documents.ts';
import type { TokenRow } from '../store/types.ts';
import type { Tokens } from './tokens.ts';

/** What a snapshot is made of. */
export interface SnapshotInput {
  readonly revision: number;
  readonly compiled: Compiled;
  readonly credentials: Snapshot['credentials'];
  tokens(key: KeyName): Tokens;
}

/** Everything that a proxy serves. A key without a live token stays listed, so that its money comes back in order. */
export function snapshotOf({ revision, compiled, credentials, tokens }: SnapshotInput): Snapshot {
  return {
    kind: 'snapshot',
    revision,
    keys: compiled.keys.map((document): ServedKey => {
      const { current, leaving } = tokens(document.key);
      return { document, tokens: [...(current === null ? [] : [current]), ...leaving].map(served) };
    }),
    pools: compiled.pools,
    credentials,
  };
}

function served({ id, hint, validUntilMs }: TokenRow): ServedKey['tokens'][number] {
  return { id, hint, ...(validUntilMs !== undefined && { validUntilMs }) };
}

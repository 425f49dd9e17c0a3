import { type KeyName, tokenId } from '../../../core/names.ts';
import type { Reflector } from '../../kube/reflector.ts';
import type { PolicyHost } from '../policy/host.ts';
import { keyOf } from '../policy/read.ts';

/** Changes of the broker within this time are compared together. */
const delayMs = 50;

interface TokenWatchDeps {
  readonly host: Pick<PolicyHost, 'token' | 'document'>;
  readonly keys: Pick<Reflector, 'all'>;
  /** Called with the keys whose token or policy differs from the last comparison. */
  readonly onChange: (keys: readonly KeyName[]) => void;
}

/** Finds the keys whose token or policy has changed, because the broker reports changes without their keys. */
export interface TokenWatch {
  /** Compares all keys within 50 ms. */
  compareSoon(): void;
  stop(): void;
}

/** Makes a watch. In its first comparison, every key is new. */
export function createTokenWatch({ host, keys, onChange }: TokenWatchDeps): TokenWatch {
  let fingerprints: ReadonlyMap<KeyName, string> = new Map();
  let timer: NodeJS.Timeout | undefined;

  function fingerprint(key: KeyName): string {
    const token = host.token(key);
    return `${token === null ? '' : tokenId(token)} ${host.document(key)?.digest}`;
  }

  function compare(): void {
    timer = undefined;
    const previous = fingerprints;
    fingerprints = new Map(
      keys
        .all()
        .map(keyOf)
        .map((key) => [key, fingerprint(key)]),
    );
    onChange([...fingerprints].filter(([key, now]) => previous.get(key) !== now).map(([key]) => key));
  }

  return {
    compareSoon() {
      timer ??= setTimeout(compare, delayMs);
    },
    stop() {
      clearTimeout(timer);
      timer = undefined;
    },
  };
}

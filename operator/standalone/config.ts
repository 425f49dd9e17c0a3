import type { MessagePort } from 'node:worker_threads';

/** Everything the operator's thread is given; it has no environment of its own. */
export interface OperatorOptions {
  /** Files and folders of manifests. */
  readonly manifests: readonly string[];
  /** Holds `keyforge.db`, `root.key`, `admin.token` and `tokens/`; exists, mode 0700. */
  readonly dataDir: string;
  /** Loopback only; null: no admin API. Port 0: any free one. */
  readonly adminListen: { readonly host: string; readonly port: number } | null;
  /** `KEYFORGE_SECRET_*` variables: credential values that are not among the manifests. */
  readonly secrets: Readonly<Record<string, string>>;
  /** `frozen`: manifests are read once. */
  readonly watch: 'files' | 'frozen';
  readonly logLevel: string;
  /** Names this operator in its own audit stream. */
  readonly instance: string;
  /** Serves the control port; transferred. */
  readonly control: MessagePort;
}

/** A key with its token, for its holder. */
export interface IssuedKey {
  readonly namespace: string;
  readonly name: string;
  readonly key: string;
}

/** From the operator's thread to its parent. */
export type FromOperator =
  | { readonly kind: 'started'; readonly adminUrl: string | null; readonly keys: readonly IssuedKey[] }
  /** It could not start and has ended. */
  | { readonly kind: 'failed'; readonly problems: readonly string[] }
  /** Manifests changed. Problems non-empty: the last good state keeps serving. */
  | { readonly kind: 'reloaded'; readonly problems: readonly string[]; readonly keys: readonly IssuedKey[] };

/** To the operator's thread: close everything and end. */
export interface ToOperator {
  readonly kind: 'stop';
}

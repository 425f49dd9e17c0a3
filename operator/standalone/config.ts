import type { MessagePort } from 'node:worker_threads';

/** The options of the operator's thread, which has no environment of its own. */
export interface OperatorOptions {
  /** Files and folders of manifests. */
  readonly manifests: readonly string[];
  /** Folder of `keyforge.db`, `root.key`, `admin.token` and `tokens/`. It must exist with mode 0700. */
  readonly dataDir: string;
  /** On loopback only; null: no admin API. Port 0: any free port. */
  readonly adminListen: { readonly host: string; readonly port: number } | null;
  /** `KEYFORGE_SECRET_*` variables: credential values that are not among the manifests. */
  readonly secrets: Readonly<Record<string, string>>;
  /** `frozen`: manifests are read once. */
  readonly watch: 'files' | 'frozen';
  readonly logLevel: string;
  /** The name of this operator in its own audit stream. */
  readonly instance: string;
  /** The message port of the control port; it is transferred. */
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
  /** The operator could not start and has ended. */
  | { readonly kind: 'failed'; readonly problems: readonly string[] }
  /** Manifests changed. If there are problems, the last good state stays in force. */
  | { readonly kind: 'reloaded'; readonly problems: readonly string[]; readonly keys: readonly IssuedKey[] };

/** To the operator's thread: it closes everything and ends. */
export interface ToOperator {
  readonly kind: 'stop';
}

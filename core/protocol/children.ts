import type { RefusalCode } from '../errors.ts';
import type { NanoUsd } from '../money.ts';
import type { KeyName } from '../names.ts';

/** What an agent may set on a sub-agent key; every field narrows the parent. */
export interface ChildSpec {
  readonly name?: string;
  readonly usdNano?: NanoUsd;
  readonly requests?: number;
  readonly ttlMs?: number;
  readonly models?: readonly string[];
  readonly endpoints?: readonly string[];
  readonly outputTokens?: number;
  readonly delegation?: { readonly maxDepth: number; readonly maxChildren: number };
}

export interface ChildView {
  readonly key: KeyName;
  readonly keyHint: string;
  readonly expiresAt?: string;
  readonly capNanoUsd?: string;
  readonly spentNanoUsd: string;
}

export type MintReply =
  | { readonly token: string; readonly child: ChildView }
  | { readonly denial: { readonly code: RefusalCode; readonly message: string } };

import type { KeyName } from '../names.ts';
import type { ChildSpec, ChildView, MintReply } from './children.ts';
import type { OpenReply, OpenRequest, ShipReply, ShipRequest } from './evidence.ts';
import type { AccountView, GrantReply, GrantRequest } from './money.ts';
import type { Push } from './snapshot.ts';

/** Version of the messages; both sides refuse another. */
export const controlVersion = 1;

/** The calls of a proxy, in-process (serialised) or over TLS. Each may reject with ControlUnavailable. */
export interface ControlPort {
  open(request: OpenRequest): Promise<OpenReply>;
  ship(request: ShipRequest): Promise<ShipReply>;
  /** Aborted while it waits, the request is answered at once: with a denial, or with the grant that was made before. */
  grant(request: GrantRequest, signal?: AbortSignal): Promise<GrantReply>;
  account(key: KeyName): Promise<AccountView>;
  /** The tokens of an answer of this key, and of all that it continued, by the SHA-256 of its id; null: unknown. */
  answerTokens(key: KeyName, answerSha256: string): Promise<number | null>;
  mint(parent: KeyName, spec: ChildSpec): Promise<MintReply>;
  children(parent: KeyName): Promise<readonly ChildView[]>;
  /** False if the parent has no such child. */
  unmint(parent: KeyName, child: KeyName): Promise<boolean>;
  /** Calls back with the whole state now and at every change, and with recalls; returns a function that stops. */
  watch(listener: (push: Push) => void): () => void;
}

/** The operator is unreachable, or replied that it cannot serve now. */
export class ControlUnavailable extends Error {
  override readonly name = 'ControlUnavailable';
}

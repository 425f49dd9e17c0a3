import type { KeyName } from '../names.ts';
import type { ChildSpec, ChildView, MintReply } from './children.ts';
import type { OpenReply, OpenRequest, ShipReply, ShipRequest } from './evidence.ts';
import type { AccountView, GrantReply, GrantRequest } from './money.ts';
import type { Push } from './snapshot.ts';

/** Version of the messages; both sides refuse another. */
export const controlVersion = 1;

/** The calls a proxy makes. In-process (serialised) or over TLS: one conformance suite. Each may reject with ControlUnavailable. */
export interface ControlPort {
  open(ask: OpenRequest): Promise<OpenReply>;
  ship(ask: ShipRequest): Promise<ShipReply>;
  grant(ask: GrantRequest): Promise<GrantReply>;
  account(key: KeyName): Promise<AccountView>;
  mint(parent: KeyName, spec: ChildSpec): Promise<MintReply>;
  children(parent: KeyName): Promise<readonly ChildView[]>;
  /** False where the parent has no such child. */
  unmint(parent: KeyName, child: KeyName): Promise<boolean>;
  /** Calls back with the whole state now and at every change, and with recalls; returns how to stop. */
  watch(listener: (push: Push) => void): () => void;
}

/** The operator could not be reached, or answered that it cannot serve. */
export class ControlUnavailable extends Error {
  override readonly name = 'ControlUnavailable';
}

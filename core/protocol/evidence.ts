import type { KeyName, StreamId } from '../names.ts';

/** Opens the next epoch of a stream. */
export interface OpenRequest {
  readonly key: KeyName;
  readonly instance: string;
}

export interface OpenReply {
  readonly stream: StreamId;
  readonly epoch: number;
  /** Hexadecimal. */
  readonly nonce: string;
  /** Hexadecimal K₀; in memory only, and wiped with the first ratchet. */
  readonly chainKey: string;
  /** The operator stores entries of type `refusals`. Absent: it is older, and each refusal needs an entry of its own. */
  readonly takesRefusals?: true;
}

/** Entries of any streams, in order within each. The ledger stores and settles them in one transaction. */
export interface ShipRequest {
  /** As core/protocol/entry-wire.ts writes them. */
  readonly entries: Buffer;
}

export interface ShipReply {
  /** Highest contiguous seq stored, by stream and epoch, for every stream in the request. */
  readonly acks: readonly { readonly stream: StreamId; readonly epoch: number; readonly seq: number }[];
  /** Entries that the ledger will never accept, with the reason: it has quarantined the stream. */
  readonly rejected: readonly { readonly stream: StreamId; readonly epoch: number; readonly seq: number; readonly reason: string }[];
}

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
  /** Hexadecimal K0; lives in memory only and is wiped with the first ratchet. */
  readonly chainKey: string;
}

/** Entries of any streams, each stream's in order. Stored once and settled in one transaction. */
export interface ShipRequest {
  /** As core/protocol/entry-wire.ts writes them. */
  readonly entries: Buffer;
}

export interface ShipReply {
  /** Highest contiguous seq stored, by stream and epoch, for every stream named in the ask. */
  readonly acks: readonly { readonly stream: StreamId; readonly epoch: number; readonly seq: number }[];
  /** Entries that will never be taken, with the reason: the stream is quarantined. */
  readonly rejected: readonly { readonly stream: StreamId; readonly epoch: number; readonly seq: number; readonly reason: string }[];
}

import { controlVersion } from './control.ts';

/** Why an operator closes a session; the code of the WebSocket's close frame. */
export const closeCodes = {
  /** The first message was not a hello, or a frame could not be read. */
  protocol: 4400,
  /** The Pod's entitlement has changed: the proxy sends another hello. */
  renew: 4401,
  /** The token, the Pod, its proxy container or its image is not entitled. The proxy drops its credentials at once. */
  refused: 4403,
  /** No hello arrived in time. */
  helloLate: 4408,
  /** A later session of the same proxy replaced this one. */
  replaced: 4409,
  /** The Pod has ended or is deleted. The proxy drops its credentials at once. */
  gone: 4410,
  /** Retry later: the operator or the API server is busy, starting or stopping, or the Pod has not started. */
  unready: 4503,
} as const;

/** Timings of both sides, in milliseconds. */
export const sessionTimings = {
  /** From the open socket to the hello. */
  helloMs: 5_000,
  /** Between two heartbeats of the operator. */
  beatMs: 5_000,
  /** Silence after which each side considers the other dead. */
  silenceMs: 15_000,
  /** Between two hellos of a proxy in one session: the kubelet renews projected tokens on disk. */
  renewMs: 300_000,
  /** Between two attestations that the operator makes on its own timer. */
  attestMs: 600_000,
  /** How long a session lives while the API server is unreachable. */
  unattestedMs: 3_600_000,
} as const;

export type SessionTimings = { readonly [Name in keyof typeof sessionTimings]: number };

/** Largest message of a proxy, in bytes: a batch of entries has at most 1 MiB and one entry more. */
export const proxyMessageBytes: number = 4 * 1_048_576;
/** Largest message of an operator, in bytes: a snapshot for a gateway. */
export const operatorMessageBytes: number = 64 * 1_048_576;

/** The operator's answer to a hello. */
export type HelloReply =
  | { readonly id: number; readonly reply: { readonly instance: string } }
  | { readonly id: number; readonly error: string; readonly code: 'unready' | 'refused' };

/** The text of a hello. `token` is the proxy's projected service account token, a secret. */
export function helloText(id: number, token: string): string {
  return JSON.stringify({ v: controlVersion, id, hello: { token } });
}

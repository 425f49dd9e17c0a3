/** What the operator shows in TLS handshakes; `keyPem` is a secret. */
export interface Leaf {
  /** The certificate and what lies between it and the roots. */
  readonly certPem: string;
  readonly keyPem: string;
  /** Upper-case hexadecimal, as a handshake's `serialNumber`. */
  readonly serial: string;
  /** Unix time. */
  readonly notAfterMs: number;
}

/** The operator's identity, kept fresh: whoever trusts the roots accepts the leaf. */
export interface Authority {
  /**
   * The roots to trust, as PEM: the literal in proxy containers and the webhooks' caBundle. One of them, or both while
   * one replaces the other; so the text changes a few times in decades.
   */
  rootPem(): string;
  /** True where a proxy container's literal is made of roots that are, or were, ours: it was injected before the last change. */
  accepts(literal: string): boolean;
  /** The current one. */
  leaf(): Leaf;
  /** Calls after the leaf or the roots changed, until the returned function is called. */
  onRenew(listener: () => void): () => void;
  /** Checks at once whether anything is due or changed, as also happens each minute or at each change. Never rejects: failures are logged. */
  check(): Promise<void>;
  /** Ends the checks. */
  close(): void;
}

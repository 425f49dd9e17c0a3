/** The operator's certificate for TLS handshakes; `keyPem` is a secret. */
export interface Leaf {
  /** The certificate and its intermediates. */
  readonly certPem: string;
  readonly keyPem: string;
  /** Upper-case hexadecimal, like `serialNumber` in a handshake. */
  readonly serial: string;
  /** Unix time. */
  readonly notAfterMs: number;
}

/** The operator's identity, which renews itself. Every peer that trusts the roots accepts the leaf. */
export interface Authority {
  /**
   * The roots to trust, as PEM, for proxy containers and the webhooks' caBundle. There is one root, or two while one replaces
   * the other, so the text changes a few times in decades.
   */
  rootPem(): string;
  /** True if a proxy container's literal contains only our current or earlier roots: it may have been injected before a change. */
  accepts(literal: string): boolean;
  /** The current leaf. */
  leaf(): Leaf;
  /** Calls back after each change of the leaf or the roots, until the returned function is called. */
  onRenew(listener: () => void): () => void;
  /** Checks now whether anything is due or changed, as it also does each minute or at each change. Never rejects: it logs failures. */
  check(): Promise<void>;
  /** Ends the checks. */
  close(): void;
}

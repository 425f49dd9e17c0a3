import type { Picked } from '../credentials/pool.ts';
import type { Secret } from '../credentials/secret.ts';
import { ask } from './ask.ts';
import type { Origins, UpstreamSettings } from './origins.ts';
import type { UpstreamCall } from './types.ts';

const timeoutMs = 5000;
/** An opinion holds for so long: a caller whose calls are rejected again and again makes one request of ours in this time. */
const freshMs = 30_000;

interface OpinionDeps {
  readonly origins: Origins;
  readonly settings: UpstreamSettings;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

interface Opinion {
  readonly atMs: number;
  readonly isRejected: Promise<boolean>;
}

/**
 * Second opinions about credentials: a provider may reject one call of one caller (a missing scope, a model's permission) in the
 * words in which it rejects a credential. Before all callers lose the credential, the proxy asks with a free request of its own.
 */
export class Opinions {
  readonly #deps: OpinionDeps;
  readonly #opinions = new WeakMap<Secret, Opinion>();

  constructor(deps: OpinionDeps) {
    this.#deps = deps;
  }

  /** True if the provider rejects this credential whoever calls, or has no free request that would show it. Never rejects. */
  isRejected(call: Pick<UpstreamCall, 'pool' | 'provider'>, { secret }: Pick<Picked, 'secret'>): Promise<boolean> {
    const nowMs = this.#deps.clock();
    const known = this.#opinions.get(secret);
    if (known !== undefined && nowMs - known.atMs < freshMs) return known.isRejected;
    const isRejected = this.#ask(call, secret);
    this.#opinions.set(secret, { atMs: nowMs, isRejected });
    return isRejected;
  }

  async #ask({ pool, provider }: Pick<UpstreamCall, 'pool' | 'provider'>, secret: Secret): Promise<boolean> {
    if (provider.probe === null) return true;
    const { path, headers } = provider.probe;
    const reply = await ask(this.#deps, { pool, provider, secret, method: 'GET', path, headers, timeoutMs });
    if (reply === null || reply.status < 400) return false;
    const answer = { status: reply.status, headers: reply.headers, body: reply.body?.toString() ?? '', nowMs: this.#deps.clock() };
    return provider.classify(answer).kind === 'unauthorized';
  }
}

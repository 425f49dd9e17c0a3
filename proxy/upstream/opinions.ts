import type { Picked } from '../credentials/pool.ts';
import type { Secret } from '../credentials/secret.ts';
import { unread } from './ask.ts';
import { Attempt } from './attempt.ts';
import { joinPath, type Origins, type UpstreamSettings } from './origins.ts';
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
    const { origins, settings, clock } = this.#deps;
    const { dispatcher, prefix } = origins.of(pool, provider);
    const { header, prefix: before } = provider.authentication;
    const attempt = new Attempt(settings, unread, { firstByteMs: timeoutMs });
    const headers = [...provider.probe.headers, header, before + secret.reveal()];
    dispatcher.dispatch({ method: 'GET', path: joinPath(prefix, provider.probe.path), headers }, attempt);
    const result = await attempt.result;
    if (result.kind === 'failed') return false;
    const body = result.body.kind === 'whole' ? result.body.bytes.toString() : '';
    attempt.abort('stopped');
    const { status } = result;
    return status >= 400 && provider.classify({ status, headers: result.headers, body, nowMs: clock() }).kind === 'unauthorized';
  }
}

import type { Picked } from '../credentials/pool.ts';
import type { Secret } from '../credentials/secret.ts';
import type { Provider } from '../provider/types.ts';
import { ask } from './ask.ts';
import type { Origins, UpstreamSettings } from './origins.ts';
import type { UpstreamCall } from './types.ts';

/** An opinion holds for so long: a caller whose calls are rejected again and again makes one request of ours in this time. */
const freshMs = 30_000;
/** The same if the provider gave none, so that a credential that is gone is found out soon. */
const unknownFreshMs = 10_000;

interface OpinionDeps {
  readonly origins: Origins;
  readonly settings: UpstreamSettings;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
}

type Probe = NonNullable<Provider['probe']>;

/** `unknown`: no answer in time, or one that says nothing about the credential (a limit, an outage). */
type Answer = 'accepted' | 'rejected' | 'unknown';

interface Opinion {
  freshUntilMs: number;
  readonly answer: Promise<Answer>;
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

  /**
   * True if the provider rejects this credential whoever calls, or has no free request that would show it. Without an opinion, the
   * rejection stays with its caller, and the credential with all others. Never rejects.
   */
  async isRejected(call: Pick<UpstreamCall, 'pool' | 'provider'>, { secret }: Pick<Picked, 'secret'>): Promise<boolean> {
    if (call.provider.probe === null) return true;
    const nowMs = this.#deps.clock();
    const known = this.#opinions.get(secret);
    if (known !== undefined && nowMs < known.freshUntilMs) return (await known.answer) === 'rejected';
    const opinion: Opinion = { freshUntilMs: nowMs + freshMs, answer: this.#ask(call, secret, call.provider.probe) };
    this.#opinions.set(secret, opinion);
    const answer = await opinion.answer;
    if (answer === 'unknown') opinion.freshUntilMs = nowMs + unknownFreshMs;
    return answer === 'rejected';
  }

  async #ask({ pool, provider }: Pick<UpstreamCall, 'pool' | 'provider'>, secret: Secret, probe: Probe): Promise<Answer> {
    const timeoutMs = this.#deps.settings.opinionMs;
    const reply = await ask(this.#deps, { pool, provider, secret, method: 'GET', ...probe, timeoutMs });
    if (reply === null) return 'unknown';
    if (reply.status < 300) return 'accepted';
    const answer = { status: reply.status, headers: reply.headers, body: reply.body?.toString() ?? '', nowMs: this.#deps.clock() };
    return provider.classify(answer).kind === 'unauthorized' ? 'rejected' : 'unknown';
  }
}

import { setTimeout as pause } from 'node:timers/promises';
import { startWorld, type World } from '../../test/harness.ts';
import { keyManifest } from '../../test/manifests.ts';
import { ask } from './client.ts';
import { CountedCall, exactly, oracleShare } from './exact.ts';
import type { Margin, Plan, PlannedCall, Shape } from './types.ts';

export interface FleetOptions {
  readonly shape: Shape;
  readonly agents: number;
  readonly capUsd: number;
  readonly seed: number;
  /** Receives the share that is billed so far, after each call. */
  readonly onCall?: (share: number) => void;
}

/** How an agent ended: its first call that was refused for good, or whose answer was cut because KeyForge lowered its limit. */
export interface End {
  readonly marker: string;
  readonly code: string;
  readonly message: string;
  /** Of the cap, after all that the provider billed for calls that were made before the end. */
  readonly leftUsd: number;
  /** What the call needs by its exact input: with the floor for a refusal, for the whole answer for a cut. */
  readonly exactUsd: number;
  /** The same by a count with the provider's margin. */
  readonly countedUsd: number;
}

/** What one run showed. Shares are of the cap, as the provider billed. */
export interface FleetResult {
  /** By calls that were made before the first end. */
  readonly share: number;
  /** When every agent had ended. */
  readonly finalShare: number;
  /** What a cap reaches that knows the tokens: exactly, or by a count with the provider's margin. */
  readonly oracle: number;
  readonly countedOracle: number;
  readonly ends: readonly End[];
  readonly calls: number;
  readonly counts: number;
  /** Refusals that an SDK retries. */
  readonly waits: number;
  /** The provider's bill above the cap. */
  readonly overspendUsd: number;
}

/** Runs agents on one key until each has ended. */
export async function runFleet(options: FleetOptions): Promise<FleetResult> {
  const planned = new Map<string, PlannedCall>();
  const served: PlannedCall[] = [];
  await using world = await startWorld({
    keys: { 'bot.yaml': keyManifest('bot', { limits: [{ window: 'Total', usd: options.capUsd.toFixed(2) }] }) },
    models: [options.shape.model],
    simulation: {
      keepCalls: 64,
      script: ({ text }) => {
        const call = planned.get(/\[turn \d+ of agent \d+\]/.exec(text)?.[0] ?? '');
        if (call === undefined) return undefined;
        served.push(call);
        const { thinkingTokens, answerTokens } = call;
        // Calls in parallel overlap as they do at a real model, some thousand times as fast.
        const delay = options.agents === 1 ? {} : { delayMs: Math.ceil((thinkingTokens + answerTokens) / 50) };
        return { thinkingTokens, outputTokens: answerTokens, ...delay };
      },
    },
  });
  const run = new Run(options, world, { planned, served });
  await run.drive();
  return run.result();
}

/** An end as it happens; what was left is known when all calls before it are billed. */
interface Ending {
  readonly call: PlannedCall;
  readonly code: string;
  readonly message: string;
  /** How many calls had been made. */
  readonly made: number;
}

interface Calls {
  /** Those in flight, for the simulated model. */
  readonly planned: Map<string, PlannedCall>;
  /** In the order in which the provider billed them. */
  readonly served: readonly PlannedCall[];
}

class Run {
  readonly #options: FleetOptions;
  readonly #world: World;
  readonly #calls: Calls;
  readonly #plans: readonly Plan[];
  readonly #ends: Ending[] = [];
  /** By marker: the how-manieth call it was, and what the provider billed for it. */
  readonly #made = new Map<string, number>();
  readonly #billedUsd = new Map<string, number>();
  readonly #pace: CountPace;
  #waits = 0;

  constructor(options: FleetOptions, world: World, calls: Calls) {
    this.#options = options;
    this.#world = world;
    this.#calls = calls;
    this.#plans = Array.from({ length: options.agents }, (_, index) => options.shape.plan(options.seed * 1000 + index));
    this.#pace = new CountPace(() => world.provider.counts(), options.agents);
  }

  async drive(): Promise<void> {
    await Promise.all(this.#plans.map((plan) => this.#driveAgent(plan)));
  }

  async #driveAgent(plan: Plan): Promise<void> {
    const onWait = (): void => {
      this.#waits += 1;
    };
    const caller = { url: this.#world.proxyUrl, token: this.#world.token, onWait };
    for (;;) {
      await this.#pace.wait();
      const call = plan.next().value;
      this.#made.set(call.marker, this.#made.size);
      this.#calls.planned.set(call.marker, call);
      const reply = await ask(caller, this.#options.shape, call);
      this.#calls.planned.delete(call.marker);
      this.#billedUsd.set(call.marker, this.#billOf(call));
      this.#options.onCall?.(this.#totalUsd() / this.#options.capUsd);
      const isCut = reply.kind === 'answer' && reply.stoppedByLimit && reply.lowered;
      if (reply.kind === 'answer' && !isCut) continue;
      const { code, message } = reply.kind === 'refusal' ? reply : { code: 'cut', message: 'Its limit was lowered, and ended it.' };
      this.#ends.push({ call, code, message, made: this.#made.size });
      return;
    }
  }

  /** What the provider billed for an agent's latest call: each later one has its marker too. */
  #billOf({ marker }: PlannedCall): number {
    const billed = this.#world.provider.calls().findLast((call) => call.pico > 0n && call.body.includes(marker));
    return Number(billed?.pico ?? 0n) / 1e12;
  }

  #totalUsd(): number {
    return Number(this.#world.provider.bill().totalPico) / 1e12;
  }

  result(): FleetResult {
    const { capUsd } = this.#options;
    const [first] = this.#ends;
    if (first === undefined) throw new Error('no agent ended');
    const totalUsd = this.#totalUsd();
    const calls = [...this.#asIfServed(first)];
    return {
      share: this.#billedBefore(first) / capUsd,
      finalShare: totalUsd / capUsd,
      oracle: this.#oracle(calls, exactly),
      countedOracle: this.#oracle(calls, this.#options.shape.margin),
      ends: this.#ends.map((ending) => this.#endOf(ending)),
      calls: this.#calls.served.length,
      counts: this.#world.provider.counts(),
      waits: this.#waits,
      overspendUsd: Math.max(0, totalUsd - capUsd),
    };
  }

  #endOf(ending: Ending): End {
    const { shape, capUsd } = this.#options;
    const { call, code, message } = ending;
    const needed = (margin: Margin): number => {
      const counted = new CountedCall(shape, call, margin);
      return code === 'cut' ? counted.wholeUsd : counted.floorUsd;
    };
    const leftUsd = capUsd - this.#billedBefore(ending);
    return { marker: call.marker, code, message, leftUsd, exactUsd: needed(exactly), countedUsd: needed(shape.margin) };
  }

  #isBefore({ marker }: PlannedCall, { call, made }: Ending): boolean {
    return marker !== call.marker && (this.#made.get(marker) ?? 0) < made;
  }

  #billedBefore(ending: Ending): number {
    return this.#calls.served
      .filter((call) => this.#isBefore(call, ending))
      .reduce((sum, { marker }) => sum + (this.#billedUsd.get(marker) ?? 0), 0);
  }

  #oracle(calls: readonly PlannedCall[], margin: Margin): number {
    const { shape, capUsd } = this.#options;
    return oracleShare({ shape, calls, capUsd }, margin);
  }

  /** The calls in the order of this run up to its first end; then that one, the others of this run, and more of each agent. */
  *#asIfServed(first: Ending): Generator<PlannedCall> {
    const { served } = this.#calls;
    yield* served.filter((call) => this.#isBefore(call, first));
    yield first.call;
    yield* served.filter((call) => call !== first.call && !this.#isBefore(call, first));
    for (let round = 0; round < 200; round += 1) for (const plan of this.#plans) yield plan.next().value;
  }
}

/**
 * Holds agents back while their key has no counts left in this minute. The calls that need as many counts take agents at a
 * real model's pace a minute and more.
 */
class CountPace {
  static readonly #perMinute = 30;
  readonly #counts: () => number;
  readonly #agents: number;
  #before = 0;
  #startMs = 0;

  constructor(counts: () => number, agents: number) {
    this.#counts = counts;
    this.#agents = agents;
  }

  async wait(): Promise<void> {
    const nowMs = performance.now();
    const counted = this.#counts();
    // The minute begins with its first count.
    if (counted === this.#before) this.#startMs = nowMs;
    // Each of the others may have a call on its way that will be counted.
    if (counted - this.#before + this.#agents <= CountPace.#perMinute) return;
    await pause(Math.max(0, this.#startMs + 61_000 - nowMs));
    this.#before = Math.max(this.#before, counted);
  }
}

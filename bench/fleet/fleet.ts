import { startWorld, type World } from '../../test/harness.ts';
import { keyManifest } from '../../test/manifests.ts';
import { ask } from './client.ts';
import { ExactCall, oracleShare } from './exact.ts';
import type { Plan, PlannedCall, Shape } from './types.ts';

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
  readonly leftUsd: number;
  /** What the call needs by its exact input: with the floor for a refusal, for the whole answer for a cut. */
  readonly neededUsd: number;
}

/** What one run showed. */
export interface FleetResult {
  /** Shares of the cap that the provider had billed at the first end, in the end, and what the oracle reaches at its first. */
  readonly share: number;
  readonly finalShare: number;
  readonly oracle: number;
  readonly ends: readonly End[];
  readonly calls: number;
  readonly counts: number;
  /** Refusals that an SDK retries. */
  readonly waits: number;
  /** The provider's bill above the cap. */
  readonly overspendUsd: number;
}

/** Ends that exact tokens would have avoided. */
export function avoidable({ ends }: FleetResult): readonly End[] {
  return ends.filter(({ leftUsd, neededUsd }) => neededUsd <= leftUsd);
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
        // Calls in parallel overlap as they do at a real model, two thousand times as fast.
        const delayMs = options.agents === 1 ? {} : { delayMs: Math.ceil((thinkingTokens + answerTokens) / 50) };
        return { thinkingTokens, outputTokens: answerTokens, ...delayMs };
      },
    },
  });
  const run = new Run(options, world, planned, served);
  await run.drive();
  return run.result();
}

class Run {
  readonly #options: FleetOptions;
  readonly #world: World;
  readonly #planned: Map<string, PlannedCall>;
  /** In the order in which the provider billed them. */
  readonly #served: PlannedCall[];
  readonly #plans: readonly Plan[];
  readonly #ends: { readonly end: End; readonly call: PlannedCall; readonly billedUsd: number; readonly served: readonly PlannedCall[] }[] =
    [];
  #waits = 0;

  constructor(options: FleetOptions, world: World, planned: Map<string, PlannedCall>, served: PlannedCall[]) {
    this.#options = options;
    this.#world = world;
    this.#planned = planned;
    this.#served = served;
    this.#plans = Array.from({ length: options.agents }, (_, index) => options.shape.plan(options.seed * 1000 + index));
  }

  async drive(): Promise<void> {
    await Promise.all(this.#plans.map((plan) => this.#driveAgent(plan)));
  }

  async #driveAgent(plan: Plan): Promise<void> {
    const caller = {
      url: this.#world.proxyUrl,
      token: this.#world.token,
      onWait: () => {
        this.#waits += 1;
      },
    };
    for (;;) {
      const call = plan.next().value;
      this.#planned.set(call.marker, call);
      const reply = await ask(caller, this.#options.shape, call);
      this.#options.onCall?.(this.#billedUsd() / this.#options.capUsd);
      if (reply.kind === 'refusal') return this.#end(call, reply, 0);
      this.#planned.delete(call.marker);
      if (reply.stoppedByLimit && reply.lowered)
        return this.#end(call, { code: 'cut', message: 'The answer was cut.' }, this.#costUsd(call));
    }
  }

  #end(call: PlannedCall, { code, message }: { readonly code: string; readonly message: string }, ownUsd: number): void {
    const exact = new ExactCall(this.#options.shape, call);
    const billedUsd = this.#billedUsd() - ownUsd;
    const neededUsd = code === 'cut' ? exact.wholeUsd : exact.floorUsd;
    const end = { marker: call.marker, code, message, neededUsd, leftUsd: this.#options.capUsd - billedUsd };
    this.#ends.push({ end, call, billedUsd, served: this.#served.filter((each) => each !== call) });
  }

  #billedUsd(): number {
    return Number(this.#world.provider.bill().totalPico) / 1e12;
  }

  /** What the provider billed for an agent's last call: every later one would have its marker too. */
  #costUsd({ marker }: PlannedCall): number {
    const billed = this.#world.provider.calls().findLast((call) => call.pico > 0n && call.body.includes(marker));
    return Number(billed?.pico ?? 0n) / 1e12;
  }

  result(): FleetResult {
    const { shape, capUsd } = this.#options;
    const [first] = this.#ends;
    const billedUsd = this.#billedUsd();
    if (first === undefined) throw new Error('no agent ended');
    return {
      share: first.billedUsd / capUsd,
      finalShare: billedUsd / capUsd,
      oracle: oracleShare(shape, this.#asAnOracle(first.served, first.call), capUsd),
      ends: this.#ends.map(({ end }) => end),
      calls: this.#served.length,
      counts: this.#world.provider.counts(),
      waits: this.#waits,
      overspendUsd: Math.max(0, billedUsd - capUsd),
    };
  }

  /** The calls in the order of this run up to its first end, and then the agents' next ones in turn. */
  *#asAnOracle(served: readonly PlannedCall[], ended: PlannedCall): Generator<PlannedCall> {
    yield* served;
    yield ended;
    const later = this.#served.filter((call) => call !== ended && !served.includes(call));
    yield* later;
    for (;;) for (const plan of this.#plans) yield plan.next().value;
  }
}

import type { Json, SimulatedDialect, SimulatedModel } from '../../simulator/types.ts';

/** One call of an agent: what it asks, and what the model would say to it with all the room in the world. */
export interface PlannedCall {
  /** Stands in the last user turn, so that the simulated model knows which call it answers. */
  readonly marker: string;
  readonly body: Json;
  readonly thinkingTokens: number;
  readonly answerTokens: number;
}

/** An agent's calls, in order and without end; the same for the same seed. */
export type Plan = Generator<PlannedCall, never, undefined>;

/** What a count of tokens is widened by before it bounds a bill. */
export interface Margin {
  readonly percent: number;
  readonly tokens: number;
}

/** A kind of agent. */
export interface Shape {
  readonly name: string;
  readonly model: SimulatedModel;
  readonly dialect: SimulatedDialect;
  readonly path: string;
  /** Of the provider's counter, as KeyForge applies it. */
  readonly margin: Margin;
  plan(seed: number): Plan;
}

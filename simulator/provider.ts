import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { compose, inputTokens } from './answer.ts';
import { modelOf, openCall, parseJson, readBody, type SimulatedCall } from './call.ts';
import { deliverFrames, deliverJson } from './deliver.ts';
import { modelList } from './dialect/uncounted.ts';
import { errorsOf, faultAnswer } from './errors/table.ts';
import type { ErrorAnswer } from './errors/types.ts';
import { type Conditions, type Fault, openRules, type Rule } from './faults.ts';
import { type Bill, openLedger } from './ledger.ts';
import { simulatedModels } from './models.ts';
import { PromptCache } from './prompt-cache.ts';
import { familyOf, findRoute, type Route } from './routes.ts';
import type { Answer, Json, Prompt, SimulatedDialect, SimulatedModel, SimulatedUsage } from './types.ts';

export interface SimulationOptions {
  /** Credentials that are taken, whatever the family; any other gets 401. */
  readonly credentials: readonly string[];
  /** Default: `simulatedModels`. */
  readonly models?: readonly SimulatedModel[];
  readonly host?: string;
  /** Default: a free one. */
  readonly port?: number;
  /** Conditions for every call that no rule names. */
  readonly conditions?: Conditions;
  /** How to answer a prompt, beneath rules and `conditions`; undefined: by default. */
  readonly script?: (prompt: Prompt) => Conditions | undefined;
  /** Milliseconds since the epoch; default `Date.now`. */
  readonly now?: () => number;
  /** How many calls `calls()` remembers, newest kept; default 1000. */
  readonly keepCalls?: number;
}

/** A provider on loopback that speaks the three families' wire formats and keeps its own books. */
export interface Simulation {
  /** `http://127.0.0.1:PORT`, to be used as a pool's endpoint. */
  readonly url: string;
  bill(): Bill;
  calls(): readonly SimulatedCall[];
  /** How often it counted tokens. */
  counts(): number;
  /** Makes calls that fit go wrong or slow; returns how to take it back. */
  rule(rule: Rule): () => void;
  clearRules(): void;
  close(): Promise<void>;
}

/** Starts it; resolves when it listens. */
export async function startSimulation(options: SimulationOptions): Promise<Simulation> {
  const provider = new Provider(options);
  const server = createServer((request, response) => {
    provider.handle(request, response).catch(() => response.destroy());
  });
  const host = options.host ?? '127.0.0.1';
  server.listen(options.port ?? 0, host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${host}:${port}`,
    bill: provider.ledger.bill,
    calls: () => provider.calls,
    counts: () => provider.counts,
    rule: provider.rules.add,
    clearRules: provider.rules.clear,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** One call on its way through the provider. */
interface Turn {
  readonly response: ServerResponse;
  readonly route: Route;
  readonly parsed: Json;
  readonly model: SimulatedModel;
  readonly call: SimulatedCall;
  readonly conditions: Conditions;
  readonly fault: Fault | undefined;
}

class Provider {
  readonly rules = openRules();
  readonly ledger = openLedger();
  readonly calls: SimulatedCall[] = [];
  counts = 0;
  readonly #options: SimulationOptions;
  readonly #models: readonly SimulatedModel[];
  readonly #cache = new PromptCache();
  #counter = 0;

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.#models = options.models ?? simulatedModels;
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readBody(request);
    const path = (request.url ?? '/').split('?')[0] ?? '/';
    const route = findRoute(request.method ?? 'GET', path, request.headers);
    const parsed = parseJson(body);
    const call = openCall(request, body, modelOf(route, parsed));
    this.#record(call, response);
    response.setHeader('x-request-id', `req_simulated${this.#counter}`);
    const family = familyOf(route);
    const errors = errorsOf(family);
    if (!this.#options.credentials.includes(call.credential)) return send(response, errors.unauthorized());
    const rule = this.rules.take({ credential: call.credential, model: call.model, path });
    const refusal = faultAnswer(rule?.fault, family, call.model ?? 'this model');
    if (refusal !== null) return send(response, refusal);
    if (route.kind === 'unknown') return send(response, errors.unknownRoute());
    if (route.kind === 'models') return deliverJson(response, modelList(this.#models, family), {});
    if (parsed === null) return send(response, errors.badRequest('We could not parse the JSON body of your request.'));
    const model = this.#models.find((each) => each.name === call.model && each.family === family);
    if (model === undefined) return send(response, errors.unknownModel(call.model ?? ''));
    const conditions = { ...this.#options.conditions, ...rule?.conditions };
    return this.#serve({ response, route, parsed, model, call, conditions, fault: rule?.fault });
  }

  #record(call: SimulatedCall, response: ServerResponse): void {
    this.#counter += 1;
    this.calls.push(call);
    if (this.calls.length > (this.#options.keepCalls ?? 1000)) this.calls.shift();
    response.on('finish', () => {
      call.finished = true;
      call.status = response.statusCode;
    });
    response.on('close', () => {
      call.abandoned = !response.writableFinished;
      if (response.headersSent) call.status = response.statusCode;
    });
  }

  async #serve(turn: Turn): Promise<void> {
    const { response, route, parsed, call, model } = turn;
    const errors = errorsOf(familyOf(route));
    if (route.kind === 'whole') {
      const whole = route.answer(parsed);
      if ('badRequest' in whole) return send(response, errors.badRequest(whole.badRequest, whole.param));
      if (route.counts === true) this.counts += 1;
      if (whole.usage !== undefined) this.#charge(call, model, whole.usage);
      return deliverJson(response, whole.body, turn.conditions);
    }
    if (route.kind !== 'generate') return undefined;
    const prompt = route.dialect.parse(parsed, route);
    if ('badRequest' in prompt) return send(response, errors.badRequest(prompt.badRequest, prompt.param));
    const conditions = { ...this.#options.script?.(prompt), ...turn.conditions };
    return this.#generate({ ...turn, conditions }, route.dialect, prompt);
  }

  async #generate(turn: Turn, dialect: SimulatedDialect, prompt: Prompt): Promise<void> {
    const { response, call, model, conditions, fault } = turn;
    const answer = this.#answerTo(prompt, model, conditions);
    // Charged before a byte is sent: a provider bills what it generates, whether or not anyone is left to read it.
    if (!(fault !== undefined && 'billed' in fault && fault.billed === false)) this.#charge(call, model, answer.usage);
    if (fault?.kind === 'hang_before_headers') return undefined;
    if (fault?.kind === 'reset_before_headers') {
      response.socket?.resetAndDestroy();
      return undefined;
    }
    if (conditions.delayMs !== undefined) await pause(conditions.delayMs);
    if (prompt.stream) {
      return deliverFrames(response, dialect.frames(answer, prompt), { conditions, fault, errorFrame: dialect.errorFrame() });
    }
    if (conditions.msPerToken !== undefined) await pause(conditions.msPerToken * answer.pieces.length);
    return deliverJson(response, dialect.json(answer), conditions);
  }

  #answerTo(prompt: Prompt, model: SimulatedModel, conditions: Conditions): Answer {
    const { now = Date.now } = this.#options;
    const nowMs = now();
    return compose(prompt, model, {
      id: `simulated${this.#counter}`,
      createdSeconds: Math.floor(nowMs / 1000),
      cache: this.#cache.use(model, prompt, { inputTokens: inputTokens(prompt), nowMs }),
      text: conditions.text,
      toolCall: conditions.toolCall,
      outputTokens: conditions.outputTokens,
      thinkingTokens: conditions.thinkingTokens,
    });
  }

  #charge(call: SimulatedCall, model: SimulatedModel, usage: SimulatedUsage): void {
    call.usage = usage;
    call.pico = this.ledger.charge(call.credential, model, usage);
  }
}

function send(response: ServerResponse, answer: ErrorAnswer): void {
  response.writeHead(answer.status, answer.headers);
  response.end(answer.body);
}

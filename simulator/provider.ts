import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { compose } from './answer.ts';
import { modelOf, openCall, parseJson, readBody, type SimulatedCall } from './call.ts';
import { deliverFrames, deliverJson } from './deliver.ts';
import * as errors from './errors.ts';
import { type Conditions, type Fault, openRules, type Rule } from './faults.ts';
import { type Bill, openLedger } from './ledger.ts';
import { simulatedModels } from './models.ts';
import { familyOf, findRoute, type Route } from './routes.ts';
import type { Answer, Json, Prompt, SimulatedModel, SimulatedUsage } from './types.ts';
import { modelList } from './uncounted.ts';

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
  /** What to say to a prompt; undefined: the default answer. */
  readonly script?: (prompt: Prompt) => string | undefined;
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
  /** Makes calls that fit go wrong or slow; returns how to take it back. */
  rule(rule: Rule): () => void;
  clearRules(): void;
  close(): Promise<void>;
}

/** Starts it; resolves when it listens. */
export async function startSimulation(options: SimulationOptions): Promise<Simulation> {
  const rules = openRules();
  const ledger = openLedger();
  const seen = new Set<string>();
  const calls: SimulatedCall[] = [];
  const models = options.models ?? simulatedModels;
  const now = options.now ?? Date.now;
  let counter = 0;

  const server = createServer((request, response) => {
    handle(request, response).catch(() => response.destroy());
  });

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readBody(request);
    const path = (request.url ?? '/').split('?')[0] ?? '/';
    const route = findRoute(request.method ?? 'GET', path, request.headers);
    const parsed = parseJson(body);
    const call = record(request, body, modelOf(route, parsed));
    response.on('finish', () => {
      call.finished = true;
      call.status = response.statusCode;
    });
    response.on('close', () => {
      call.abandoned = !response.writableFinished;
      if (response.headersSent) call.status = response.statusCode;
    });
    response.setHeader('x-request-id', `req_simulated${counter}`);
    const family = familyOf(route);
    if (!options.credentials.includes(call.credential)) return send(response, errors.unauthorized(family));
    const rule = rules.take({ credential: call.credential, model: call.model, path });
    const refusal = errors.faultAnswer(rule?.fault, family, call.model ?? 'this model');
    if (refusal !== null) return send(response, refusal);
    if (route.kind === 'unknown') return send(response, errors.unknownRoute(family));
    if (route.kind === 'models') return deliverJson(response, modelList(models, family), {});
    if (parsed === null) return send(response, errors.badRequest(family, 'We could not parse the JSON body of your request.'));
    const model = models.find((each) => each.name === call.model && each.family === family);
    if (model === undefined) return send(response, errors.unknownModel(family, call.model ?? ''));
    const conditions = { ...options.conditions, ...rule?.conditions };
    return serve({ response, route, parsed, model, call, conditions, fault: rule?.fault });
  }

  function record(request: IncomingMessage, body: Buffer, model: string | undefined): SimulatedCall {
    counter += 1;
    const call = openCall(request, body, model);
    calls.push(call);
    if (calls.length > (options.keepCalls ?? 1000)) calls.shift();
    return call;
  }

  async function serve(turn: Turn): Promise<void> {
    const { route, call, model } = turn;
    const family = familyOf(route);
    if (route.kind === 'whole') {
      const whole = route.answer(turn.parsed);
      if ('badRequest' in whole) return send(turn.response, errors.badRequest(family, whole.badRequest, whole.param));
      if (whole.usage !== undefined) charge(call, model, whole.usage);
      return deliverJson(turn.response, whole.body, turn.conditions);
    }
    if (route.kind !== 'generate') return undefined;
    const prompt = route.dialect.parse(turn.parsed, route);
    if ('badRequest' in prompt) return send(turn.response, errors.badRequest(family, prompt.badRequest, prompt.param));
    return generate({ ...turn, route }, prompt);
  }

  async function generate(turn: Turn & { readonly route: Route & { kind: 'generate' } }, prompt: Prompt): Promise<void> {
    const { response, route, call, model, conditions, fault } = turn;
    const answer = answerTo(prompt, model, conditions);
    // Charged before a byte is sent: a provider bills what it generates, whether or not anyone is left to read it.
    if (!(fault !== undefined && 'billed' in fault && fault.billed === false)) charge(call, model, answer.usage);
    if (fault?.kind === 'hang_before_headers') return undefined;
    if (fault?.kind === 'reset_before_headers') {
      response.socket?.resetAndDestroy();
      return undefined;
    }
    const errorFrame = route.dialect.errorFrame();
    if (prompt.stream) return deliverFrames(response, route.dialect.frames(answer, prompt), { conditions, fault, errorFrame });
    if (conditions.msPerToken !== undefined)
      await new Promise((resolve) => setTimeout(resolve, (conditions.msPerToken ?? 0) * answer.pieces.length));
    return deliverJson(response, route.dialect.json(answer), conditions);
  }

  function answerTo(prompt: Prompt, model: SimulatedModel, conditions: Conditions): Answer {
    const id = `simulated${counter}`;
    const fingerprint = `${model.name} ${prompt.everything}`;
    const answer = compose(prompt, model, {
      id,
      createdSeconds: Math.floor(now() / 1000),
      seen: seen.has(fingerprint),
      text: conditions.text ?? options.script?.(prompt),
      outputTokens: conditions.outputTokens,
    });
    if (model.caches === true && seen.size < 10_000) seen.add(fingerprint);
    return answer;
  }

  function charge(call: SimulatedCall, model: SimulatedModel, usage: SimulatedUsage): void {
    call.usage = usage;
    call.pico = ledger.charge(call.credential, model, usage);
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, options.host ?? '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${options.host ?? '127.0.0.1'}:${port}`,
    bill: ledger.bill,
    calls: () => calls,
    rule: rules.add,
    clearRules: rules.clear,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

interface Turn {
  readonly response: ServerResponse;
  readonly route: Route;
  readonly parsed: Json;
  readonly model: SimulatedModel;
  readonly call: SimulatedCall;
  readonly conditions: Conditions;
  readonly fault: Fault | undefined;
}

function send(response: ServerResponse, answer: errors.ErrorAnswer): void {
  response.writeHead(answer.status, answer.headers);
  response.end(answer.body);
}

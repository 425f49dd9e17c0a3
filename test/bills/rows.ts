import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import type { CallBody } from '../../core/audit/types.ts';
import type { JsonObject } from '../../core/json.ts';
import type { ProviderKind } from '../../core/manifest/providers.ts';
import { eventually, recordedNano, startWorld, type World } from '../harness.ts';
import { keyManifest } from '../manifests.ts';

/** What a provider sends, and what it bills for it by its published rules. */
export interface Answer {
  /** Default: 200. */
  readonly status?: number;
  /** Default: JSON. */
  readonly type?: string;
  /** JSON, or bytes as they are; a list is sent one after the other. */
  readonly body: object | string | readonly Buffer[];
  readonly usd: number;
}

/**
 * - `refused`: with this code, and nothing reaches the provider.
 * - `exact`: served; each call is charged what it is billed.
 * - `bound`: served or not, each call is charged what was held for it, because nobody knows what it cost: at least the bill.
 */
export type Outcome = { readonly refused: string; readonly message?: RegExp } | 'exact' | 'bound';

/** One kind of request, how its provider bills it, and what must come of it on a key with a cap. */
export interface Row {
  readonly name: string;
  readonly provider: ProviderKind;
  /** More fields of the pool's spec, e.g. its models with their prices. */
  readonly pool?: object;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: object | string;
  /** From the body that reaches the provider, and its size in bytes. Absent: no call may reach it. */
  readonly answer?: (sent: JsonObject, bytes: number) => Answer;
  /** Dollars of the row's key. Default: 1. */
  readonly capUsd?: number;
  /** Parallel calls, thrice. Default: 20. */
  readonly parallel?: number;
  /** Calls that must be served at least. Default: 1. */
  readonly serves?: number;
  readonly outcome: Outcome;
}

interface Call {
  readonly row: string;
  readonly usd: number;
}

/** Where providers count tokens, which none of them bills. */
const counters = /\/count_tokens|\/input_tokens|:countTokens/;

/** A provider of all rows: each has a path of its own below it. */
class Billing {
  readonly calls: Call[] = [];
  readonly #rows: readonly Row[];
  readonly #server: Server;

  constructor(rows: readonly Row[]) {
    this.#rows = rows;
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, id = '', ...rest] = (request.url ?? '').split('/');
    const chunks = (await request.toArray()) as Buffer[];
    const bytes = Buffer.concat(chunks);
    const path = `/${rest.join('/')}`;
    // No counter here, so that the bytes of a request are its bound.
    if (counters.test(path)) return void response.writeHead(404, { 'content-type': 'application/json' }).end('{}');
    const answer = this.#rows[Number(id.slice(3))]?.answer?.(JSON.parse(bytes.toString()) as JsonObject, bytes.length);
    this.calls.push({ row: id, usd: answer?.usd ?? 0 });
    response.writeHead(answer?.status ?? 200, { 'content-type': answer?.type ?? 'application/json' });
    const body = answer?.body ?? {};
    for (const chunk of Array.isArray(body) ? (body as Buffer[]) : [typeof body === 'string' ? body : JSON.stringify(body)]) {
      if (!response.write(chunk)) await new Promise((resolve) => response.once('drain', resolve));
    }
    response.end();
  }
}

function poolOf(row: Row, id: string, url: string): string {
  return JSON.stringify({
    apiVersion: 'keyforge.dev/v1alpha1',
    kind: 'ProviderPool',
    metadata: { name: id, namespace: 'keyforge-system' },
    spec: {
      provider: row.provider,
      endpoint: `${url}/${id}`,
      keys: [{ name: 'main', secretRef: { name: 'openai', key: 'main' } }],
      consumers: [{ namespaceSelector: {} }],
      ...row.pool,
    },
  });
}

function keyOf({ capUsd = 1 }: Row, id: string): string {
  const pools = [{ name: id, namespace: 'keyforge-system' }];
  return keyManifest(id, { pools, limits: [{ window: 'Total', usd: capUsd.toFixed(6) }] });
}

const refusals = new Set<string>(['budget_exhausted', 'budget_reserved', 'request_too_expensive']);

/** Calls of a row's key that the provider answered or that were charged. */
function recordsOf(records: readonly CallBody[], id: string): readonly CallBody[] {
  return records.filter(({ key, attempts, code }) => key === `agents/${id}` && attempts.length > 0 && !refusals.has(code));
}

function dollars(nano: bigint): number {
  return Number(nano) / 1e9;
}

/** Sends the row's request many times at once, and compares the bill with the cap and with what was charged. */
async function tryRow(world: World, billing: Billing, row: Row, id: string): Promise<void> {
  const { path, body, headers = {}, parallel = 20, outcome, serves = 1, capUsd = 1 } = row;
  const send = async (): Promise<string> => {
    const response = await world.post(path, body, { token: world.tokenOf(id), headers });
    return `${response.status} ${(await response.text()).slice(0, 400)}`;
  };
  if (typeof outcome === 'object') {
    const answer = await send();
    assert.match(answer, new RegExp(`"(code|status|type)":\\s*"${outcome.refused}"|${outcome.refused}`));
    assert.match(answer, outcome.message ?? /^4\d\d/);
    assert.equal(billing.calls.filter((call) => call.row === id).length, 0, answer);
    return;
  }
  const answers: string[] = [];
  for (let round = 0; round < 3; round += 1) answers.push(...(await Promise.all(Array.from({ length: parallel }, send))));
  const calls = billing.calls.filter((call) => call.row === id);
  assert.ok(calls.length >= serves, `${calls.length} calls: ${[...new Set(answers)].join('\n').slice(0, 2000)}`);
  const records = await eventually(async () => {
    const found = recordsOf(await world.records(), id);
    return found.length >= calls.length ? found : undefined;
  }, `${calls.length} records of ${row.name}`);
  const bill = calls.reduce((sum, { usd }) => sum + usd, 0);
  const charged = dollars(recordedNano(records));
  assert.ok(bill <= capUsd + 1e-9, `billed ${bill} of ${capUsd} in ${calls.length} calls, charged ${charged}`);
  assert.ok(charged <= capUsd + 1e-9, `charged ${charged} of ${capUsd}`);
  if (outcome === 'exact') {
    assert.ok(
      Math.abs(charged - bill) < calls.length * 1.5e-9,
      `charged ${charged}, billed ${bill} in ${calls.length} calls: ${answers[0]}`,
    );
    assert.deepEqual(new Set(records.map(({ estimated }) => estimated)), new Set([false]));
  } else {
    assert.ok(charged >= bill, `charged ${charged}, billed ${bill}`);
    assert.deepEqual(new Set(records.map(({ estimated }) => estimated)), new Set([true]));
  }
}

/** Tries each row on a key of its own, in one world. */
export function tryRows(what: string, rows: readonly Row[]): void {
  describe(what, () => {
    const billing = new Billing(rows);
    let world: World;
    const ids = rows.map((_, at) => `row${at}`);
    before(async () => {
      const url = await billing.start();
      const pools = rows.map((row, at) => `${poolOf(row, `row${at}`, url)}\n`).join('---\n');
      const keys = Object.fromEntries(rows.map((row, at) => [`row${at}.yaml`, keyOf(row, `row${at}`)]));
      world = await startWorld({ pools: () => pools, keys }).catch((error) => {
        billing.close();
        throw error;
      });
    });
    after(async () => {
      await world?.close();
      billing.close();
    });
    for (const [at, row] of rows.entries()) it(row.name, () => tryRow(world, billing, row, ids[at] ?? ''));
  });
}

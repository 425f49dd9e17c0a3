import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type Standalone, startStandalone } from '../cli/standalone.ts';
import type { CallBody } from '../core/audit/types.ts';
import { countedRefusals, readCalls, readRecords } from '../operator/store/recorded-calls.ts';
import { simulatedModels } from '../simulator/models.ts';
import { type Simulation, type SimulationOptions, startSimulation } from '../simulator/provider.ts';
import type { SimulatedModel } from '../simulator/types.ts';
import { type LogCapture, openLog } from './log.ts';
import { keyManifest, poolManifest } from './manifests.ts';

/** What a test asks for; everything has a default. */
export interface WorldOptions {
  /** Manifests by file name. Default: one key `agents/bot` with a dollar a day. */
  readonly keys?: Readonly<Record<string, string>>;
  /** Replaces the three default pools. */
  readonly pools?: (url: string) => string;
  /** Names of credentials in each of the default pools; each is a quota scope of its own. Default: `main`. */
  readonly credentials?: readonly string[];
  /** The simulation's price list, given to the pools too. Default: `simulatedModels`. */
  readonly models?: readonly SimulatedModel[];
  readonly simulation?: Partial<SimulationOptions>;
  readonly watch?: 'files' | 'frozen';
  /** Default: none. */
  readonly allowedOrigins?: readonly string[];
}

/** KeyForge in front of a simulated provider, in a folder of its own. */
export interface World extends AsyncDisposable {
  readonly standalone: Standalone;
  readonly provider: Simulation;
  readonly proxyUrl: string;
  /** Token of `agents/bot`, or of the first key. */
  readonly token: string;
  /** Everything logged so far. */
  readonly log: LogCapture;
  readonly dataDir: string;
  readonly manifestDir: string;
  tokenOf(name: string): string;
  /** Writes a manifest file. */
  edit(file: string, text: string): Promise<void>;
  remove(file: string): Promise<void>;
  /** POST JSON to the proxy with a token (default: the world's). */
  post(path: string, body: unknown, more?: { readonly token?: string; readonly headers?: Record<string, string> }): Promise<Response>;
  /** Calls with an entry each, once every one that was answered is stored: without refusals that are counted. */
  records(atLeast?: number): Promise<readonly CallBody[]>;
  close(): Promise<void>;
}

/** The credential of a pool's key, as the simulation knows it. */
export function credentialValue(pool: string, name = 'main'): string {
  return `sk-sim-${pool}-${name}-CANARY0123456789`;
}

const dayMs = 86_400_000;
const poolNames = { openai: 'OpenAI', anthropic: 'Anthropic', gemini: 'Gemini' } as const;

/** Starts both; close it, or declare it with `await using`. */
export async function startWorld(options: WorldOptions = {}): Promise<World> {
  // Most limits here are of a day: one that ends in the middle of a test would begin anew.
  const leftMs = dayMs - (Date.now() % dayMs);
  if (leftMs < 30_000) await pause(leftMs);
  const names = options.credentials ?? ['main'];
  const pools = Object.keys(poolNames) as (keyof typeof poolNames)[];
  const provider = await startSimulation({
    credentials: pools.flatMap((pool) => names.map((name) => credentialValue(pool, name))),
    ...(options.models === undefined ? {} : { models: options.models }),
    ...options.simulation,
  });
  const root = await mkdtemp(join(tmpdir(), 'keyforge-test-'));
  const manifestDir = await mkdtemp(join(root, 'manifests-'));
  const dataDir = join(root, 'data');
  const files = { 'pools.yaml': (options.pools ?? defaultPools)(provider.url), ...(options.keys ?? { 'bot.yaml': keyManifest('bot') }) };
  for (const [file, text] of Object.entries(files)) await writeFile(join(manifestDir, file), text);
  const log = openLog();
  const standalone = await startStandalone({
    manifests: [manifestDir],
    dataDir,
    listen: { host: '127.0.0.1', port: 0 },
    adminListen: { host: '127.0.0.1', port: 0 },
    metricsListen: { host: '127.0.0.1', port: 0 },
    secrets: Object.fromEntries(
      pools.flatMap((pool) =>
        names.map((name) => [`KEYFORGE_SECRET_${pool}_${name}`.toUpperCase().replace(/[-.]/g, '_'), credentialValue(pool, name)]),
      ),
    ),
    watch: options.watch ?? 'files',
    allowedOrigins: options.allowedOrigins ?? [],
    logger: log.logger,
  });

  function defaultPools(url: string): string {
    const models = options.models ?? simulatedModels;
    const keys = Object.fromEntries(names.map((name) => [name, '']));
    return pools
      .map((pool) =>
        poolManifest({
          name: pool,
          provider: poolNames[pool],
          endpoint: url,
          keys,
          models: models.filter((model) => model.family === pool),
        }),
      )
      .join('---\n');
  }

  const token = (standalone.keys.find((key) => key.name === 'bot') ?? standalone.keys[0])?.key ?? '';

  function tokenOf(name: string): string {
    const found = standalone.keys.find((key) => `${key.namespace}/${key.name}` === name || key.name === name);
    if (found === undefined) throw new Error(`no key ${name}; there are ${standalone.keys.map((key) => key.name).join(', ')}`);
    return found.key;
  }

  async function close(): Promise<void> {
    await standalone.close();
    await provider.close();
    await rm(root, { recursive: true, force: true });
  }

  return {
    standalone,
    provider,
    proxyUrl: standalone.proxyUrl,
    token,
    log,
    dataDir,
    manifestDir,
    tokenOf,
    edit: (file, text) => writeFile(join(manifestDir, file), text),
    remove: (file) => rm(join(manifestDir, file)),
    post: (path, body, more = {}) =>
      fetch(`${standalone.proxyUrl}${path}`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          authorization: `Bearer ${more.token ?? token}`,
          ...more.headers,
        },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    async records(atLeast = 0) {
      return eventually(() => {
        const calls = readCalls(dataDir);
        return calls.length >= atLeast ? calls : undefined;
      }, `${atLeast} records`);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Asks again until there is an answer; throws after the deadline (default 30 s), naming what was awaited. */
export async function eventually<T>(ask: () => Promise<T | undefined> | T | undefined, what: string, deadlineMs = 30_000): Promise<T> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const value = await ask();
    if (value !== undefined) return value;
    if (performance.now() > end) throw new Error(`waited ${deadlineMs} ms for ${what}`);
    await pause(15);
  }
}

/** Resolves where fifteen seconds at least are left of this minute of the clock, and so of its rates. */
export async function untilEarlyInMinute(): Promise<void> {
  await eventually(() => (Date.now() % 60_000 < 45_000 ? true : undefined), 'the next minute');
}

/** Dollars of all records, in nano-USD. */
export function recordedNano(records: readonly CallBody[]): bigint {
  return records.reduce((sum, record) => sum + BigInt(record.costNanoUsd), 0n);
}

/** How often the entries of a data folder have each code. Refusals that are counted have theirs at the end of the minute or of KeyForge. */
export function recordedCodes(dataDir: string): ReadonlyMap<string, number> {
  const codes = new Map<string, number>();
  for (const record of readRecords(dataDir)) {
    const counted = record.type === 'call' ? [{ code: record.code, count: 1 }] : countedRefusals(record);
    for (const { code, count } of counted) codes.set(code, (codes.get(code) ?? 0) + count);
  }
  return codes;
}

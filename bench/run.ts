/**
 * `npm run bench [-- ROUNDS [--against CHECKOUT]]`: ours with policy, budget and audit all on, against a bare node:http → undici relay and a direct call,
 * interleaved. The thing measured has core 0; the scripted provider, the load and our operator's thread, in a cluster another process, core 1. Read the ratios: absolute times belong to the machine.
 */
import { execFile } from 'node:child_process';
import { join, resolve } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { cpuSeconds, median, memoryMb, startPinned } from './process.ts';
import { direct, keyforgeOf, ownCheckout, type Running, relay, sidecarOf, type Target } from './targets.ts';

interface Load {
  readonly requests: number;
  readonly errors: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly ttft50Ms: number;
  readonly ttft99Ms: number;
}

const { values, positionals } = parseArgs({ allowPositionals: true, options: { against: { type: 'string' } } });
const rounds = Number(positionals[0] ?? 3);
/** Another checkout of this repository, with its packages installed, measured in the same run. */
const against = values.against === undefined ? [] : [resolve(values.against)];
const run = promisify(execFile);
const seconds = 4;

const scenarios = [
  { name: '1 kB, 1 connection', connections: 1, bytes: 1100, stream: false },
  { name: '1 kB, 32 connections', connections: 32, bytes: 1100, stream: false },
  { name: '200 kB, 8 connections', connections: 8, bytes: 200_000, stream: false },
  { name: 'stream, 16 connections', connections: 16, bytes: 1100, stream: true },
] as const;

type Row = Load & { readonly cpuUs: number; readonly operatorUs: number };
const rows = new Map<string, Row[]>();
const memory = new Map<string, { idle: number[]; loaded: number[]; after: number[]; startMs: number[] }>();

function note<T>(map: Map<string, T>, key: string, empty: T): T {
  const found = map.get(key);
  if (found !== undefined) return found;
  map.set(key, empty);
  return empty;
}

function cpuOf(pid: number | undefined): ReturnType<typeof cpuSeconds> {
  return pid === undefined ? { proxy: 0, operator: 0 } : cpuSeconds(pid);
}

async function load(target: Running, plan: object): Promise<Load> {
  const { stdout } = await run('taskset', [
    '-c',
    '1',
    process.execPath,
    join(import.meta.dirname, 'load.ts'),
    JSON.stringify({ ...plan, url: target.url, key: target.key }),
  ]);
  return JSON.parse(stdout) as Load;
}

async function measure(target: Target, upstreamUrl: string): Promise<void> {
  const running = await target.start(upstreamUrl);
  const pid = running.process?.child.pid;
  const figures = note(memory, target.name, { idle: [], loaded: [], after: [], startMs: [] });
  await new Promise((resolve) => setTimeout(resolve, 1500));
  if (pid !== undefined) {
    figures.idle.push(memoryMb(pid));
    figures.startMs.push(running.process?.startMs ?? 0);
  }
  await load(running, { connections: 32, seconds: 12, bytes: 1100, stream: false });
  for (const scenario of scenarios) {
    const before = cpuOf(pid);
    const result = await load(running, { ...scenario, seconds });
    const after = cpuOf(pid);
    const perRequest = (part: keyof typeof after): number => ((after[part] - before[part]) / result.requests) * 1e6;
    note(rows, `${scenario.name}|${target.name}`, []).push({ ...result, cpuUs: perRequest('proxy'), operatorUs: perRequest('operator') });
    if (pid !== undefined) figures.loaded.push(memoryMb(pid));
    if (result.errors > 0) console.log(`  ${target.name}, ${scenario.name}: ${result.errors} errors`);
  }
  await new Promise((resolve) => setTimeout(resolve, 1500));
  if (pid !== undefined) figures.after.push(memoryMb(pid));
  await running.stop();
}

const upstream = await startPinned(1, [process.execPath, join(import.meta.dirname, 'upstream.ts')]);
const upstreamUrl = `http://127.0.0.1:${upstream.firstLine}`;
const targets = [
  direct,
  relay,
  keyforgeOf(ownCheckout, 'keyforge'),
  ...against.map((checkout) => keyforgeOf(checkout, 'keyforge, other')),
  sidecarOf(ownCheckout, 'sidecar'),
  ...against.map((checkout) => sidecarOf(checkout, 'sidecar, other')),
];
for (let round = 1; round <= rounds; round += 1) {
  for (const target of round % 2 === 0 ? targets.toReversed() : targets) {
    console.log(`round ${round} of ${rounds}: ${target.name}`);
    await measure(target, upstreamUrl);
  }
}
await upstream.stop();

const of = (scenario: string, target: string, figure: keyof Row): number =>
  median((rows.get(`${scenario}|${target}`) ?? []).map((row) => row[figure]));
for (const { name } of scenarios) {
  console.log(`\n${name}`);
  console.log('target            req/s   CPU µs/req   +operator   p50 ms   p99 ms   first byte p50 ms');
  for (const target of targets) {
    const cells = [
      of(name, target.name, 'perSecond').toFixed(0),
      of(name, target.name, 'cpuUs').toFixed(1),
      of(name, target.name, 'operatorUs').toFixed(1),
    ];
    cells.push(...(['p50Ms', 'p99Ms', 'ttft50Ms'] as const).map((figure) => of(name, target.name, figure).toFixed(3)));
    console.log(target.name.padEnd(16), ...cells.map((cell) => cell.padStart(9)));
  }
  for (const ours of ['keyforge', 'sidecar']) {
    const ratio = (figure: keyof Row): string => (of(name, ours, figure) / of(name, 'relay', figure)).toFixed(2);
    const added = (figure: keyof Row): string => (of(name, ours, figure) - of(name, 'direct', figure)).toFixed(3);
    console.log(
      `${ours}/relay: throughput ${ratio('perSecond')} ×, CPU ${ratio('cpuUs')} ×; added to direct: p50 ${added('p50Ms')} ms, p99 ${added('p99Ms')} ms`,
    );
    if (against.length === 0) continue;
    const other = (figure: keyof Row): string => (of(name, ours, figure) / of(name, `${ours}, other`, figure)).toFixed(3);
    console.log(`${ours}/${ours}, other: CPU ${other('cpuUs')} ×, throughput ${other('perSecond')} ×`);
  }
}
console.log('\nmemory (PSS, MB): idle, most under load, after; start to ready (ms)');
for (const [name, { idle, loaded, after, startMs }] of memory) {
  if (idle.length > 0)
    console.log(
      name.padEnd(16),
      [median(idle), Math.max(...loaded), median(after)].map((mb) => mb.toFixed(0).padStart(6)).join(''),
      median(startMs).toFixed(0).padStart(8),
    );
}

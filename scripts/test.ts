// Everything that must hold, in order; stops at the first step that fails. Run by `npm test`.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { delimiter, join } from 'node:path';

const root = join(import.meta.dirname, '..');
const bin = join(root, 'node_modules', '.bin');
const tests = ['--test', '--test-reporter=spec', '--test-timeout=300000'];

interface Step {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  /** Starts when Kubernetes and Helm are built. */
  readonly needsCluster?: true;
}

const steps: readonly Step[] = [
  { name: 'lint and format', command: ['biome', 'check', '--diagnostic-level=error', '.'] },
  { name: 'types', command: ['tsc'] },
  { name: 'unit tests', command: ['node', ...tests, '{core,proxy,operator,cli,simulator}/**/*.test.ts'] },
  { name: 'integration tests', command: ['node', ...tests, 'test/*.test.ts', 'test/bills/*.test.ts', 'test/tokens/*.test.ts'] },
  { name: 'tests on a real Kubernetes', command: ['node', ...tests, '--test-concurrency=1', 'test/cluster/*.test.ts'], needsCluster: true },
];

interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** Runs one step with its output passed on; counts what the test runner's summary says. */
function run(step: Step): Promise<{ readonly code: number; readonly counts: Counts }> {
  const [command, ...args] = step.command;
  const child = spawn(join(bin, command), args, {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, PATH: `${bin}${delimiter}${process.env['PATH'] ?? ''}` },
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    process.stdout.write(chunk);
    output = `${output}${chunk.toString()}`.slice(-200_000);
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? 1, counts: readCounts(output) }));
  });
}

function readCounts(output: string): Counts {
  const number = (name: string): number => Number(new RegExp(`^ℹ ${name} (\\d+)$`, 'm').exec(output)?.[1] ?? 0);
  return { passed: number('pass'), failed: number('fail') + number('cancelled'), skipped: number('skipped') + number('todo') };
}

/** Builds Kubernetes and Helm from source, once on this machine, while the other steps run. Where it fails, the tests themselves say so. */
function buildCluster(): { readonly done: Promise<unknown>; stop(): void } {
  const child = spawn(join(bin, 'node'), [join(root, 'test/cluster/build-all.ts')], {
    cwd: root,
    // Compilers end with the group; all of it ends with this process, however that ends.
    detached: true,
    stdio: ['pipe', 'inherit', 'inherit'],
    env: { ...process.env, EXIT_WITH_STDIN: '1' },
  });
  return {
    done: once(child, 'close'),
    stop: () => {
      if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) process.kill(-child.pid, 'SIGKILL');
    },
  };
}

const cluster = buildCluster();
let total: Counts = { passed: 0, failed: 0, skipped: 0 };
for (const step of steps) {
  const startedMs = performance.now();
  process.stdout.write(`\n── ${step.name}: ${step.command.join(' ')}\n`);
  if (step.needsCluster) await cluster.done;
  const { code, counts } = await run(step);
  total = { passed: total.passed + counts.passed, failed: total.failed + counts.failed, skipped: total.skipped + counts.skipped };
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  process.stdout.write(`── ${step.name}: ${code === 0 ? 'ok' : 'FAILED'} in ${seconds} s\n`);
  if (code !== 0) {
    process.exitCode = 1;
    if (counts.failed === 0) total = { ...total, failed: total.failed + 1 };
    cluster.stop();
    break;
  }
}
process.stdout.write(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`);

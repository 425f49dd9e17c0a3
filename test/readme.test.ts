import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { type Simulation, startSimulation } from '../simulator/provider.ts';
import { childEnvironment } from './cli.ts';
import { eventually } from './harness.ts';

const root = join(import.meta.dirname, '..');
const section = /^## The manifests$(.*?)^## /ms.exec(await readFile(join(root, 'README.md'), 'utf8'))?.[1] ?? '';
const credential = 'sk-sim-readme-CANARY0123456789';
let provider: Simulation;
/** The repository at another path, as far as its commands need it. */
let copy: string;
let environment: Record<string, string>;

before(async () => {
  provider = await startSimulation({ credentials: [credential] });
  copy = await mkdtemp(join(tmpdir(), 'keyforge-readme-'));
  for (const name of ['core', 'proxy', 'operator', 'simulator', 'cli', 'examples', 'package.json'])
    await cp(join(root, name), join(copy, name), { recursive: true });
  await symlink(join(root, 'node_modules'), join(copy, 'node_modules'));
  // Added here: there is no way out of this machine, and its ports may be taken.
  await appendFile(join(copy, 'examples', 'kubernetes', 'pool.yaml'), `  endpoint: ${provider.url}\n`);
  const listen = Object.fromEntries(['LISTEN', 'ADMIN_LISTEN', 'METRICS_LISTEN'].map((name) => [`KEYFORGE_${name}`, '127.0.0.1:0']));
  environment = childEnvironment(listen);
});
after(async () => {
  await provider.close();
  await rm(copy, { recursive: true, force: true });
});

/** Runs a line of README as it stands; what it wrote to stdout. */
async function shell(line: string, more: Readonly<Record<string, string>> = {}): Promise<string> {
  return (await promisify(execFile)('sh', ['-c', line], { cwd: copy, timeout: 60_000, env: { ...environment, ...more } })).stdout;
}

test('the commands for a laptop serve the manifests, show what was called, and prove it', async () => {
  const block = [...section.matchAll(/^```\n(.*?)^```$/gms)].map(([, text = '']) => text).find((text) => text.includes(' up -f ')) ?? '';
  const [secret = '', up = '', tail = '', verify = '', ...others] = block.trimEnd().split('\n');
  assert.deepEqual(others, []);
  const [, variable = ''] = /^export (\w+)=sk-…$/.exec(secret) ?? [];
  // A group of its own, since npm and a shell stand between.
  const child = spawn('sh', ['-c', up], {
    cwd: copy,
    env: { ...environment, [variable]: credential },
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  try {
    await eventually(() => (output.includes('curl') ? true : undefined), 'KeyForge to be ready', 60_000);
    const [, url = ''] = /^ {2}proxy +(\S+)$/m.exec(output) ?? [];
    const [, file = ''] = /^ {2}agents\/research-agent +vk_\S+ +(\S+)$/m.exec(output) ?? [];
    const answer = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${await readFile(join(copy, file), 'utf8')}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'gpt-5.4-mini', messages: [{ role: 'user', content: 'Hello' }] }),
    });
    assert.equal(answer.status, 200, await answer.text());
    assert.match(await shell(tail), /^\S+Z agents\/research-agent ok gpt-5\.4-mini \d+\+\d+ tokens \$0\.\d+$/m);
    assert.match(await shell(verify), /^intact: \d+ entries/m);
  } finally {
    const stop = (signal: NodeJS.Signals): void => {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, signal);
    };
    stop('SIGTERM');
    const late = setTimeout(stop, 30_000, 'SIGKILL');
    await ended;
    clearTimeout(late);
  }
});

test('the command with a budget of its own gives its program a key that works, and no credential', async () => {
  const [, command = ''] = /^One command with a budget of its own: `(.+)`\.$/m.exec(section) ?? [];
  await cp(join(root, 'examples', 'ci', 'agent.policy.yaml'), join(copy, 'agent.policy.yaml'));
  // What stands for Python: not every machine has it.
  const ask = `fetch(process.env.OPENAI_BASE_URL + '/models', { headers: { authorization: 'Bearer ' + process.env.OPENAI_API_KEY } })`;
  const code = `${ask}.then((answer) => console.log(process.argv[1], answer.status, process.env.OPENAI_API_KEY.slice(0, 3)))`;
  await mkdir(join(copy, 'bin'));
  await writeFile(join(copy, 'bin', 'python'), `#!/bin/sh\nexec '${process.execPath}' -e "${code}" "$@"\n`, { mode: 0o755 });
  const path = `${join(copy, 'bin')}:${environment['PATH']}`;
  assert.equal(await shell(command, { PATH: path, OPENAI_API_KEY: credential }), 'agent.py 200 vk_\n');
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readUpOptions } from './up.ts';

function problemsOf(read: object): readonly string[] {
  return 'problems' in read ? (read.problems as readonly string[]) : [];
}

test('up has the documented defaults and takes every path after -f, as a shell pattern gives them', () => {
  assert.deepEqual(readUpOptions(['-f', 'a.yaml', 'b.yaml', '--file', 'c'], {}), {
    manifests: ['a.yaml', 'c', 'b.yaml'],
    listen: { host: '127.0.0.1', port: 8787 },
    adminListen: { host: '127.0.0.1', port: 8788 },
    metricsListen: { host: '127.0.0.1', port: 9464 },
    dataDir: '.keyforge',
    allowedOrigins: [],
    json: false,
    logLevel: 'warn',
    secrets: {},
  });
});

test('each flag has an environment variable, and the flag wins', () => {
  const environment = {
    KEYFORGE_FILE: 'x.yaml:y',
    KEYFORGE_LISTEN: '[::1]:1',
    KEYFORGE_DATA: '/data',
    KEYFORGE_JSON: 'true',
    KEYFORGE_SECRET_A_B: 'sk-1',
    OPENAI_API_KEY: 'sk-2',
  };
  const read = readUpOptions(['--data', '/other'], environment);
  assert.ok(!('problems' in read));
  assert.deepEqual([read.manifests, read.listen, read.dataDir, read.json], [['x.yaml', 'y'], { host: '::1', port: 1 }, '/other', true]);
  assert.equal(read.logLevel, 'info');
  assert.deepEqual(read.secrets, { KEYFORGE_SECRET_A_B: 'sk-1' });
});

test('all mistakes are reported at once', () => {
  const args = [
    '--listen',
    '8787',
    '--admin-listen',
    '0.0.0.0:1',
    '--metrics-listen',
    'x:99999',
    '--log-level',
    'loud',
    '--what',
    '--json=1',
    '--data',
    '--file',
  ];
  const problems = problemsOf(readUpOptions(args, {}));
  for (const part of [
    'no manifests',
    '--listen: 8787',
    'not loopback',
    'x:99999',
    'loud',
    'unknown flag --what',
    '--data needs',
    '--json takes',
  ]) {
    assert.ok(
      problems.some((problem) => problem.includes(part)),
      `${part} in ${problems.join(' | ')}`,
    );
  }
});

test('a data folder among the manifests is refused, unless it is hidden there', () => {
  const problemsOf = (manifests: string, data: string): number => {
    const read = readUpOptions(['-f', manifests, '--data', data], {});
    return 'problems' in read ? read.problems.length : 0;
  };
  assert.deepEqual([problemsOf('m', 'm/data'), problemsOf('m', 'm'), problemsOf('.', './a/b'), problemsOf('/m/', '/m/data')], [1, 1, 1, 1]);
  assert.deepEqual(
    [problemsOf('m', 'data'), problemsOf('m', 'm/.keyforge'), problemsOf('m/x', 'm'), problemsOf('.', '.keyforge')],
    [0, 0, 0, 0],
  );
});

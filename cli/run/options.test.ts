import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRunOptions } from './options.ts';

test('everything after -- is the command, flags and all', () => {
  const options = parseRunOptions([
    '-f',
    'agent.policy.yaml',
    '-f',
    'pool.yaml',
    '--usd',
    '2.00',
    '--ttl',
    '1h30m',
    '--',
    'npm',
    'test',
    '-f',
    '--',
    'x',
  ]);
  assert.deepEqual(options, {
    files: ['agent.policy.yaml', 'pool.yaml'],
    command: ['npm', 'test', '-f', '--', 'x'],
    usdNano: 2_000_000_000,
    ttlMs: 5_400_000,
    keepData: false,
  });
});

test('every problem of the command line is told at once', () => {
  const options = parseRunOptions(['-f', 'a.yaml', '--usd', '2,00', '--ttl', 'soon']);
  assert.ok('problems' in options);
  assert.equal(options.problems.length, 3);
  assert.match(options.problems.join('\n'), /no command.*--usd "2,00".*--ttl "soon"/s);
});

test('an unknown flag and a missing policy are named', () => {
  const unknown = parseRunOptions(['--listen', ':1', '--', 'true']);
  assert.match(JSON.stringify(unknown), /--listen/);
  assert.match(JSON.stringify(parseRunOptions(['--', 'true'])), /no policy/);
});

test('--help is asked for only before --', () => {
  assert.deepEqual(parseRunOptions(['--help']), { help: true });
  assert.ok('command' in parseRunOptions(['-f', 'a.yaml', '--', 'node', '--help']));
});

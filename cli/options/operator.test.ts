import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readOperatorCommand } from './operator.ts';

const required = ['--namespace=keyforge-system', '--proxy-image=keyforge.dev/keyforge-proxy:1'];

function problemsOf(...args: readonly string[]): readonly string[] {
  const read = readOperatorCommand(args, {});
  return 'problems' in read ? read.problems : [];
}

test('the resources of injected proxies have a default, and are taken as a container has them', () => {
  const standard = readOperatorCommand(required, {});
  assert.ok(!('problems' in standard));
  assert.deepEqual(standard.proxyResources, { requests: { cpu: '10m', memory: '96Mi' }, limits: { memory: '256Mi' } });
  const given = readOperatorCommand([...required, '--proxy-resources={"limits":{"cpu":1,"memory":"1.5Gi"}}'], {});
  assert.ok(!('problems' in given));
  assert.deepEqual(given.proxyResources, { requests: {}, limits: { cpu: '1', memory: '1.5Gi' } });
});

test('resources that no Pod could be created with are reported at once, with all other mistakes', () => {
  const reported = problemsOf(
    '--proxy-resources={"requests":{"cpu":"fast"},"limits":{"memory":"256 MB"},"limit":{}}',
    '--service-port=x',
  ).join('\n');
  for (const part of [
    '--namespace',
    '--proxy-image',
    '--service-port: x',
    'requests.cpu: fast',
    'limits.memory: 256 MB',
    'limit is neither',
  ]) {
    assert.ok(reported.includes(part), `${part} in ${reported}`);
  }
  for (const text of ['512Mi', '[]', '{"limits":"512Mi"}'])
    assert.match(
      problemsOf(...required, `--proxy-resources=${text}`).join(),
      /--proxy-resources: .*; write JSON such as \{"requests"/,
      text,
    );
});

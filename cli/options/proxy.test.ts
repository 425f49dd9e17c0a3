import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readProxyCommand } from './proxy.ts';

const required = ['--control=wss://operator:443/control', '--control-ca=-----BEGIN CERTIFICATE-----'];

function limitOf(args: readonly string[], environment: Readonly<Record<string, string>> = {}): number | readonly string[] {
  const command = readProxyCommand([...required, ...args], environment);
  return 'problems' in command ? command.problems : command.connectionsPerAddress;
}

test('the connections of one address have no limit unless one is given, by flag or environment', () => {
  assert.equal(limitOf([]), 0);
  assert.equal(limitOf(['--connections-per-address=8']), 8);
  assert.equal(limitOf([], { KEYFORGE_CONNECTIONS_PER_ADDRESS: '1024' }), 1024);
  assert.deepEqual(limitOf(['--connections-per-address=-1']), ['--connections-per-address: -1 is no whole number; write one such as 1024']);
});

test('origins of pages are named one by one, as browsers write them', () => {
  const originsOf = (text: string): readonly string[] => {
    const command = readProxyCommand([...required, `--allowed-origins=${text}`], {});
    return 'problems' in command ? command.problems : command.allowedOrigins;
  };
  const good = ['http://localhost:3000', 'https://chat.example.com', 'chrome-extension://abcdef', 'http://[::1]:8080'];
  assert.deepEqual(originsOf(good.join(', ')), good);
  for (const text of [
    '*',
    'null',
    'https://*.example.com',
    'https://example.com/',
    'example.com',
    'HTTPS://example.com',
    'https://u@h',
    'a://b,',
  ])
    assert.match(String(originsOf(text)), /^--allowed-origins: .* is no origin; name each page's as its browser does/, text);
});

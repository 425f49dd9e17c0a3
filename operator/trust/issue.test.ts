import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { crossSign, issueLeaf, issueRoot, leafLifeMs, rootLifeMs } from './issue.ts';

const startMs = Date.UTC(2026, 0, 1);
const names = ['keyforge-operator.keyforge-system.svc', 'keyforge-operator.keyforge-system.svc.cluster.local'];
const opensslIsHere = (() => {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

test('a root lives for ten years and signs itself; no two have one name', async () => {
  const [one, two] = [await issueRoot(startMs), await issueRoot(startMs)].map(({ certPem }) => new X509Certificate(certPem));
  assert.ok(one && two);
  assert.ok(one.ca && one.verify(one.publicKey));
  assert.equal(one.validToDate.getTime(), startMs + rootLifeMs);
  assert.notEqual(one.subject, two.subject);
  assert.equal(one.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
});

test('a leaf is for servers and its names only, and ends no later than its root', async () => {
  const root = await issueRoot(startMs);
  const leaf = new X509Certificate((await issueLeaf(names, root, '', startMs)).certPem);
  assert.equal(leaf.subjectAltName, names.map((dns) => `DNS:${dns}`).join(', '));
  assert.equal(leaf.ca, false);
  assert.deepEqual(leaf.keyUsage, ['1.3.6.1.5.5.7.3.1']);
  assert.equal(leaf.validToDate.getTime(), startMs + leafLifeMs);
  const last = await issueLeaf(names, root, '', startMs + rootLifeMs - 1000);
  assert.equal(last.notAfterMs, startMs + rootLifeMs);
});

test('OpenSSL takes the chain in its strict mode, below either root', {
  skip: !opensslIsHere && 'no openssl on this machine',
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'keyforge-issue-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const [old, next] = [await issueRoot(startMs), await issueRoot(startMs)];
  const cross = await crossSign(next, old);
  const leaf = await issueLeaf(names, next, cross, startMs);
  for (const [file, text] of Object.entries({ old: old.certPem, next: next.certPem, leaf: leaf.certPem }))
    writeFileSync(join(folder, file), text);
  for (const root of ['old', 'next']) {
    const options = ['-x509_strict', '-purpose', 'sslserver', '-verify_hostname', names[0] ?? '', '-attime', String(startMs / 1000)];
    const files = ['-CAfile', join(folder, root), '-untrusted', join(folder, 'leaf'), join(folder, 'leaf')];
    assert.match(execFileSync('openssl', ['verify', ...options, ...files], { encoding: 'utf8' }), /: OK/);
  }
});

import 'reflect-metadata';
import assert from 'node:assert/strict';
import type { webcrypto } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, mock, type TestContext, test } from 'node:test';
import {
  BasicConstraintsExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { type Connection, openConnection } from './connection.ts';
import { startFakeApi } from './fake-api.fixture.ts';
import { KubeUnreachable } from './types.ts';

const folder = mkdtempSync(join(tmpdir(), 'connection-'));
const get = { method: 'GET', path: '/version', accept: 'application/json', lane: 'call' } as const;
const call = () => ({ ...get, signal: AbortSignal.timeout(20_000) });

describe('the connection', () => {
  after(() => rmSync(folder, { recursive: true }));

  test('trusts the authority of the kubeconfig alone, and shows its client certificate', async (t) => {
    const authority = await issue('CN=authority');
    const server = await issue('CN=server', authority);
    const client = await issue('CN=client', authority);
    const tls = { cert: server.cert, key: server.key, ca: authority.cert, clientCert: client.cert, clientKey: client.key };
    const api = await startFakeApi({ tls });
    t.after(() => api.close());
    const connection = opened(t, api.kubeconfig);
    const { statusCode, body } = await connection.send(call());
    await body.dump();
    assert.equal(statusCode, 200);

    const stranger = await issue('CN=authority');
    const kubeconfig = readFileSync(api.kubeconfig, 'utf8').replace(base64(authority.cert), base64(stranger.cert));
    const wary = opened(t, file('stranger', kubeconfig));
    await assert.rejects(wary.send(call()), KubeUnreachable);
  });

  test('picks up rotated client certificates, without a restart and over new connections', async (t) => {
    const authority = await issue('CN=authority');
    const server = await issue('CN=server', authority);
    const [old, next] = [await issue('CN=old', authority), await issue('CN=next', authority)];
    const tls = { cert: server.cert, key: server.key, ca: authority.cert, clientCert: old.cert, clientKey: old.key };
    const api = await startFakeApi({ tls });
    t.after(() => api.close());
    const user = { 'client-certificate': file('cert', old.cert), 'client-key': file('key', old.key) };
    let nowMs = 0;
    const connection = opened(t, file('rotating', withUser(api.kubeconfig, user)), () => nowMs);
    for (const _ of [1, 2, 3]) await (await connection.send(call())).body.dump();
    const before = api.connections();
    file('cert', next.cert);
    file('key', next.key);
    nowMs += 11_000;
    for (const _ of [1, 2, 3]) await (await connection.send(call())).body.dump();
    assert.ok(api.connections() > before);
  });

  test('re-reads a token file, because a Pod’s token is renewed within the hour', async (t) => {
    const api = await startFakeApi();
    t.after(() => api.close());
    const tokenFile = file('token', 'one\n');
    let nowMs = 0;
    const kubeconfig = withUser(api.kubeconfig, { 'auth-provider': { name: 'tokenFile', config: { tokenFile } } });
    const connection = opened(t, file('with-token-file', kubeconfig), () => nowMs);
    await (await connection.send(call())).body.dump();
    file('token', 'two\n');
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 61_000 });
    nowMs += 61_000;
    await (await connection.send(call())).body.dump();
    mock.timers.reset();
    assert.deepEqual(
      api.requests.map(({ headers }) => headers.authorization),
      ['Bearer one', 'Bearer two'],
    );
  });

  test('runs an exec plugin; one that fails or hangs is KubeUnreachable, and nothing that it printed is repeated', async (t) => {
    const api = await startFakeApi();
    t.after(() => api.close());
    const credential = { apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status: { token: 'from-plugin' } };
    const exec = (output: string) => ({ exec: { apiVersion: credential.apiVersion, command: 'echo', args: [output] } });
    const good = opened(t, file('exec', withUser(api.kubeconfig, exec(JSON.stringify(credential)))));
    await (await good.send(call())).body.dump();
    assert.equal(api.requests[0]?.headers.authorization, 'Bearer from-plugin');
    const slow = opened(t, file('slow-exec', withUser(api.kubeconfig, { exec: { ...exec('1').exec, command: 'sleep' } })));
    await assert.rejects(slow.send({ ...get, signal: AbortSignal.timeout(50) }), /timed out/);
    const bad = opened(t, file('bad-exec', withUser(api.kubeconfig, exec('{"token": hunter2'))));
    await assert.rejects(bad.send(call()), (error: Error) => error instanceof KubeUnreachable && !error.message.includes('hunter2'));
  });
});

function opened(t: TestContext, kubeconfig: string, clock?: () => number): Connection {
  const connection = openConnection(kubeconfig, clock);
  t.after(() => connection.close());
  return connection;
}

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function withUser(kubeconfig: string, user: object): string {
  return JSON.stringify({ ...JSON.parse(readFileSync(kubeconfig, 'utf8')), users: [{ name: 'u', user }] });
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

interface Issued {
  readonly cert: string;
  readonly key: string;
  readonly keys: webcrypto.CryptoKeyPair;
}

async function issue(subject: string, authority?: Issued): Promise<Issued> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.create({
    subject,
    issuer: authority === undefined ? subject : new X509Certificate(authority.cert).subject,
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 3_600_000),
    publicKey: keys.publicKey,
    signingKey: (authority?.keys ?? keys).privateKey,
    signingAlgorithm: algorithm,
    extensions: [
      new BasicConstraintsExtension(authority === undefined),
      new SubjectAlternativeNameExtension([{ type: 'ip', value: '127.0.0.1' }]),
    ],
  });
  const key = PemConverter.encode(await crypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY');
  return { cert: certificate.toString('pem'), key, keys };
}

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { pino } from 'pino';
import { openCertificateFiles } from './files.ts';
import { handshake, serve } from './handshake.fixture.ts';
import { dayMs, issueLeaf, issueRoot, leafLifeMs, type Root } from './issue.ts';
import type { Authority } from './types.ts';

const name = 'keyforge-operator.keyforge-system.svc';

interface Folder {
  readonly path: string;
  readonly log: string[];
  /** Swaps the contents as the kubelet does: a new folder, then a rename of the link `..data`. */
  swap(files: Readonly<Record<string, string>>): Promise<void>;
  open(): Promise<Authority>;
}

async function folder(t: TestContext): Promise<Folder> {
  const path = await mkdtemp(join(tmpdir(), 'keyforge-certificates-'));
  const log: string[] = [];
  const logger = pino({ level: 'info' }, { write: (line: string) => log.push(line) });
  let version = 0;
  t.after(() => rm(path, { recursive: true, force: true }));
  for (const file of ['tls.crt', 'tls.key', 'ca.crt']) await symlink(join('..data', file), join(path, file));
  return {
    path,
    log,
    async swap(files) {
      version += 1;
      await mkdir(join(path, `..${version}`));
      for (const [file, text] of Object.entries(files)) await writeFile(join(path, `..${version}`, file), text);
      await symlink(`..${version}`, join(path, '..next'));
      await rename(join(path, '..next'), join(path, '..data'));
    },
    async open() {
      const authority = await openCertificateFiles(path, { dnsNames: [name], clock: Date.now, logger });
      t.after(() => authority.close());
      return authority;
    },
  };
}

async function issued(root: Root, nowMs: number = Date.now(), dnsNames: readonly string[] = [name]): Promise<Record<string, string>> {
  const leaf = await issueLeaf(dnsNames, root, '', nowMs);
  return { 'tls.crt': leaf.certPem, 'tls.key': leaf.keyPem, 'ca.crt': root.certPem };
}

function renewed(authority: Authority): Promise<void> {
  return new Promise((resolve) => authority.onRenew(resolve));
}

test('a certificate renewed on disk is shown by the next handshake without a restart', async (t) => {
  const files = await folder(t);
  const root = await issueRoot(Date.now());
  await files.swap(await issued(root));
  const authority = await files.open();
  await using server = await serve(authority);
  const first = await handshake(server.port, authority.rootPem(), name);
  assert.equal(first, authority.leaf().serial);

  const renewal = renewed(authority);
  await files.swap(await issued(root));
  await renewal;
  const second = await handshake(server.port, root.certPem, name);
  assert.notEqual(second, first);
  assert.equal(second, authority.leaf().serial);
});

test('a root added to ca.crt is given to new containers, and the literal of old ones is still accepted', async (t) => {
  const files = await folder(t);
  const [old, next] = [await issueRoot(Date.now()), await issueRoot(Date.now())];
  const before = await issued(old);
  await files.swap(before);
  const authority = await files.open();
  const literal = authority.rootPem();
  await files.swap({ ...before, 'ca.crt': `# two\n${old.certPem}\n${next.certPem}` });
  await authority.check();
  assert.equal(authority.rootPem(), old.certPem + next.certPem);
  assert.ok(authority.accepts(literal) && !authority.accepts((await issueRoot(Date.now())).certPem));
});

test('contents that cannot be used are refused at the start, each with what to do and none repeated', async (t) => {
  const files = await folder(t);
  const root = await issueRoot(Date.now());
  const good = await issued(root);
  const other = await issued(root);
  const cases: readonly (readonly [Record<string, string>, RegExp])[] = [
    [{ 'tls.crt': 'x' }, /must hold tls\.crt, tls\.key and ca\.crt/],
    [{ ...good, 'tls.crt': 'x' }, /tls\.crt in .* is not a PEM certificate/],
    [{ ...good, 'ca.crt': '' }, /ca\.crt in .* use an issuer/],
    [{ ...good, 'tls.key': other['tls.key'] ?? '' }, /tls\.key in .* is not the private key/],
    [{ ...good, 'tls.key': 'x' }, /tls\.key in .* is not the private key/],
    [await issued(root, Date.now(), ['elsewhere.svc']), /is not for keyforge-operator\.keyforge-system\.svc; add it/],
    [{ ...good, 'ca.crt': (await issueRoot(Date.now())).certPem }, /was not issued under ca\.crt/],
  ];
  for (const [contents, message] of cases) {
    await files.swap(contents);
    await assert.rejects(files.open(), (error: Error) => message.test(error.message) && !error.message.includes('-----'));
  }
});

test('a running operator keeps the last good certificate over broken contents and takes the next good one', async (t) => {
  const files = await folder(t);
  const root = await issueRoot(Date.now());
  const good = await issued(root);
  await files.swap(good);
  const authority = await files.open();
  const { serial } = authority.leaf();
  await files.swap({ ...good, 'tls.key': '' });
  await authority.check();
  assert.equal(authority.leaf().serial, serial);
  assert.ok(files.log.some((line) => line.includes('the previous certificate stays in use')));
  await files.swap(await issued(root));
  await authority.check();
  assert.notEqual(authority.leaf().serial, serial);
});

test('reading unchanged files again notifies nobody', async (t) => {
  const files = await folder(t);
  const good = await issued(await issueRoot(Date.now()));
  await files.swap(good);
  const authority = await files.open();
  authority.onRenew(() => assert.fail('notified'));
  await files.swap(good);
  await authority.check();
});

test('a certificate that has expired stays in use, and the log says so', async (t) => {
  const files = await folder(t);
  const startMs = Date.now() - leafLifeMs - dayMs;
  await files.swap(await issued(await issueRoot(startMs), startMs));
  const authority = await files.open();
  assert.ok(authority.leaf().notAfterMs < Date.now());
  assert.ok(files.log.some((line) => line.includes('has expired')));
});

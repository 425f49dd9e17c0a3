import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { build } from 'esbuild';
import { runtimeFiles } from '../../scripts/images/files.ts';
import { type TarEntry, tar } from '../../scripts/images/tar.ts';

/** An image for tests, with the files given and nothing else. */
export interface ImageOptions {
  /** As a pod names it, with a tag: `keyforge.test/agent:1`. Pods use `imagePullPolicy: Never`. */
  readonly name: string;
  /** Where the archive goes. */
  readonly folder: string;
  /** By absolute path in the image: text, bytes, or a file of this machine; all are executable. */
  readonly files: Readonly<Record<string, string | Buffer | { readonly from: string }>>;
  readonly entrypoint: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** UID. Default: 65532. */
  readonly user?: number;
}

interface Blob {
  readonly digest: string;
  readonly data: Buffer;
}

/** An image with the Node that runs this, at /usr/local/bin/node, beside the files: for an agent, or a service that it calls. */
export function nodeImage(options: ImageOptions): Promise<string> {
  return writeImage(options, [tar(runtimeFiles(process.execPath))]);
}

/** The path of an OCI layout in a tar, for `importImage`. */
export function fileImage(options: ImageOptions): Promise<string> {
  return writeImage(options, []);
}

/** A program with all that it imports in one ES module, for an image's `files`. */
export async function bundleProgram(path: string): Promise<Buffer> {
  const { outputFiles } = await build({
    entryPoints: [path],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'node',
    // Packages in CommonJS ask for Node's own modules with `require`, which an ES module lacks.
    banner: { js: "import{createRequire}from'node:module';const require=createRequire(import.meta.url);" },
    logLevel: 'silent',
  });
  return Buffer.concat(outputFiles.map(({ contents }) => contents));
}

async function writeImage(options: ImageOptions, below: readonly Buffer[]): Promise<string> {
  const layers = [...below, tar(entries(options.files))].map(blob);
  const config = blob({
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: {
      User: String(options.user ?? 65532),
      Env: Object.entries({ PATH: '/usr/local/bin', ...options.environment }).map(([name, value]) => `${name}=${value}`),
      Entrypoint: options.entrypoint,
      WorkingDir: '/',
    },
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.digest) },
  });
  const manifest = blob({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: descriptor('config.v1+json', config),
    layers: layers.map((layer) => descriptor('layer.v1.tar', layer)),
  });
  const annotations = { 'io.containerd.image.name': options.name };
  const index = blob({ schemaVersion: 2, manifests: [{ ...descriptor('manifest.v1+json', manifest), annotations }] });
  const path = join(options.folder, `${options.name.replaceAll(/[^\w.-]/g, '_')}.tar`);
  const blobs = [config, manifest, ...layers].map(({ digest, data }) => file(`blobs/${digest.replace(':', '/')}`, data));
  await writeFile(path, tar([file('oci-layout', Buffer.from('{"imageLayoutVersion":"1.0.0"}')), file('index.json', index.data), ...blobs]));
  return path;
}

function entries(files: ImageOptions['files']): readonly TarEntry[] {
  const folders = new Set<string>();
  const found = Object.entries(files).map(([path, content]) => {
    for (let at = dirname(path); at !== '/'; at = dirname(at)) folders.add(at.slice(1));
    if (typeof content === 'string' || Buffer.isBuffer(content)) return file(path.slice(1), Buffer.from(content));
    return file(path.slice(1), readFileSync(content.from));
  });
  return [...found, ...[...folders].map((path): TarEntry => ({ path, mode: 0o755, body: { kind: 'folder' } }))];
}

function file(path: string, data: Buffer): TarEntry {
  return { path, mode: 0o755, body: { kind: 'file', data } };
}

function blob(content: Buffer | object): Blob {
  const data = Buffer.isBuffer(content) ? content : Buffer.from(JSON.stringify(content));
  return { digest: `sha256:${createHash('sha256').update(data).digest('hex')}`, data };
}

function descriptor(type: string, { digest, data }: Blob): object {
  return { mediaType: `application/vnd.oci.image.${type}`, digest, size: data.length };
}

// Builds the two images as OCI archives, without a container engine; `--files PROGRAM` writes only the program's own files, for the Dockerfiles.
import { mkdirSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildImages } from './build.ts';
import { packageVersion, programFiles } from './files.ts';

const usage = 'node scripts/images/images.ts --out DIR [--version VERSION] [--files proxy|operator]\n';

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { out: { type: 'string' }, version: { type: 'string' }, files: { type: 'string' } } });
  const { out, files } = values;
  const version = values.version ?? packageVersion();
  if (out === undefined || (files !== undefined && files !== 'proxy' && files !== 'operator')) {
    process.stderr.write(usage);
    return 2;
  }
  if (files !== undefined) {
    for (const { path, body } of await programFiles(files, version)) {
      if (body.kind === 'folder') continue;
      mkdirSync(join(out, dirname(path)), { recursive: true });
      writeFileSync(join(out, path), body.data);
    }
    return 0;
  }
  const cacheDir = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'keyforge', 'layers');
  const images = await buildImages({ out, version, cacheDir });
  process.stdout.write(`${JSON.stringify(images)}\n`);
  return 0;
}

process.exitCode = await main().catch((error: Error) => {
  process.stderr.write(`scripts/images/images.ts: ${error.message}\n`);
  return 1;
});

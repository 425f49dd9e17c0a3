import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { build, type Plugin } from 'esbuild';

/** The programs that have an image. */
export type Program = 'proxy' | 'operator';

export interface Bundle {
  /** One ES module: all that `keyforge PROGRAM` runs. */
  readonly code: Buffer;
  /** Folders of the packages that are in it, relative to the repository. */
  readonly packages: readonly string[];
}

const root = join(import.meta.dirname, '..', '..');
const entry = join(root, 'cli', 'keyforge.ts');

/** Bundles the command line with that one command; the others are left out, with all that only they import. */
export async function bundle(program: Program): Promise<Bundle> {
  const result = await build({
    absWorkingDir: root,
    entryPoints: [entry],
    bundle: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'node',
    target: 'node26',
    // Paths of CommonJS modules get into the bundle: as they are below the repository, wherever a link leads.
    preserveSymlinks: true,
    // Names are kept: a stack trace in a log must name its place.
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    // Packages in CommonJS load Node's own modules with `require`, which an ES module lacks.
    banner: { js: "import{createRequire}from'node:module';const require=createRequire(import.meta.url);" },
    plugins: [only(program)],
    logLevel: 'silent',
  });
  const [file] = result.outputFiles;
  if (file === undefined || result.outputFiles.length > 1) throw new Error(`${program}: the bundle is not one file`);
  const inputs = Object.keys(result.metafile.inputs);
  requireSelfContained(program, inputs);
  return { code: Buffer.from(file.contents), packages: packagesOf(inputs) };
}

/** Other commands only print that they are not there. */
function only(program: Program): Plugin {
  return {
    name: 'one command',
    setup(esbuild) {
      esbuild.onResolve({ filter: /^\.\/(?:[a-z-]+\/)?[a-z-]+\.ts$/ }, ({ kind, importer, path }) => {
        if (kind !== 'dynamic-import' || importer !== entry || path === `./${program}.ts`) return undefined;
        return { path, namespace: 'absent' };
      });
      esbuild.onLoad({ filter: /.*/, namespace: 'absent' }, ({ path }) => {
        const name = path.replace(/^.*\/|\.ts$/g, '');
        const run = `run${name.charAt(0).toUpperCase()}${name.slice(1)}`;
        const message = `keyforge: this image has no ${name}, only ${program}\n`;
        return { contents: `export async function ${run}(){process.stderr.write(${JSON.stringify(message)});return 2}` };
      });
    },
  };
}

/** A thread's entry or a data file that is found beside its source would be missing in the image. */
function requireSelfContained(program: Program, inputs: readonly string[]): void {
  const loose = inputs.filter((path) => /^(cli|proxy|operator|core|simulator)\//.test(path) && path !== 'cli/keyforge.ts');
  const wrong = loose.filter((path) => /\bimport\.meta\.(?:url|dirname|filename)\b/.test(readFileSync(join(root, path), 'utf8')));
  if (wrong.length > 0)
    throw new Error(`${program}: ${wrong.join(', ')} would look for a file beside itself, which a bundle does not have`);
}

function packagesOf(inputs: readonly string[]): readonly string[] {
  const found = inputs.flatMap((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? []);
  return [...new Set(found)].sort();
}

/** The licence texts of all that the bundle carries. */
export function notices(packages: readonly string[]): Buffer {
  const texts = packages.map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')) as Readonly<
      Record<'name' | 'version' | 'license', string>
    >;
    const files = readdirSync(resolve(root, folder)).filter((file) => /^(?:licen[cs]e|notice|copying)/i.test(file));
    const text = files.sort().map((file) => readFileSync(join(root, folder, file), 'utf8').trim());
    return [`${name} ${version} (${license})`, ...text].join('\n\n');
  });
  const own = readFileSync(join(dirname(entry), '..', 'LICENSE'), 'utf8').trim();
  return Buffer.from(`${[`KeyForge\n\n${own}`, ...texts].join(`\n\n${'-'.repeat(80)}\n\n`)}\n`);
}

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, parse, relative } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '..');
const rooms = ['core', 'proxy', 'operator', 'simulator', 'cli'] as const;
type Room = (typeof rooms)[number];

/** Arrows of the architecture: who may import whom. */
const allowed: Readonly<Record<Room, readonly Room[]>> = {
  core: ['core'],
  proxy: ['proxy', 'core'],
  operator: ['operator', 'core'],
  simulator: ['simulator'],
  cli: ['cli', 'simulator', 'proxy', 'operator', 'core'],
};

interface Source {
  readonly path: string;
  readonly room: Room;
  readonly text: string;
  /** Relative imports, as paths from the root. */
  readonly imports: readonly string[];
  /** Those of `imports` that are there when the program runs: types alone make no cycle. */
  readonly needs: readonly string[];
  /** Everything else: packages and `node:` modules. */
  readonly packages: readonly string[];
}

function readSources(): readonly Source[] {
  return rooms.flatMap((room) =>
    readdirSync(join(root, room), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts') && !/\.test\.ts$|testbed|fixture/.test(name))
      .map((name) => readSource(room, join(root, room, name))),
  );
}

function readSource(room: Room, file: string): Source {
  const text = readFileSync(file, 'utf8');
  const statements = /^(?:import|export)\s(type\s)?(?:[^'";]*?\sfrom\s)?['"]([^'"]+)['"]/gm;
  const found = [...text.matchAll(statements), ...text.matchAll(/\b(import)\(\s*['"]([^'"]+)['"]/g)].map((match) => ({
    name: match[2] ?? '',
    isType: match[1] === 'type ',
  }));
  const local = found.filter(({ name }) => name.startsWith('.'));
  const resolve = ({ name }: { readonly name: string }): string => normalize(join(dirname(relative(root, file)), name));
  return {
    path: relative(root, file),
    room,
    text,
    imports: local.map(resolve),
    needs: local.filter(({ isType }) => !isType).map(resolve),
    packages: found.map(({ name }) => name).filter((name) => !name.startsWith('.')),
  };
}

const sources = readSources();

test('rooms import along the arrows only', () => {
  const wrong = sources.flatMap((source) =>
    source.imports
      .filter((path) => path !== 'package.json' && !allowed[source.room].some((room) => path.startsWith(`${room}/`)))
      .map((path) => `${source.path} → ${path}`),
  );
  assert.deepEqual(wrong, []);
});

test('core does no I/O and has no dependency but node:crypto', () => {
  const wrong = sources
    .filter(({ room }) => room === 'core')
    .flatMap((source) => source.packages.filter((name) => name !== 'node:crypto').map((name) => `${source.path} → ${name}`));
  assert.deepEqual(wrong, []);
});

test('the proxy stays lean: undici, ws, prom-client, pino and Node alone', () => {
  const lean = ['undici', 'ws', 'prom-client', 'pino'];
  const wrong = sources
    .filter(({ room }) => room === 'proxy')
    .flatMap((source) =>
      source.packages
        .filter((name) => !name.startsWith('node:') && !lean.includes(name.split('/')[0] ?? ''))
        .map((name) => `${source.path} → ${name}`),
    );
  assert.deepEqual(wrong, []);
});

test('no module imports itself, through others or directly', () => {
  const graph = new Map(sources.map((source) => [source.path, source.needs]));
  const done = new Set<string>();
  const cycles: string[] = [];
  function visit(path: string, trail: readonly string[]): void {
    if (trail.includes(path)) cycles.push([...trail.slice(trail.indexOf(path)), path].join(' → '));
    if (trail.includes(path) || done.has(path)) return;
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  }
  for (const path of graph.keys()) visit(path, []);
  assert.deepEqual(cycles, []);
});

test('the environment is read in cli/config.ts alone', () => {
  const wrong = sources
    .filter(({ path, text }) => /process\.env\b|process\[['"]env['"]\]/.test(text) && path !== 'cli/config.ts')
    .map(({ path }) => path);
  assert.deepEqual(wrong, []);
});

test('a process ends in cli/process.ts alone, and a thread in its entry', () => {
  const ends = ['cli/process.ts', 'operator/standalone/main.ts'];
  const wrong = sources.filter(({ path, text }) => /process\.exit\(/.test(text) && !ends.includes(path)).map(({ path }) => path);
  assert.deepEqual(wrong, []);
});

test('stages are called by the line, not by each other', () => {
  const verbs = ['authenticate', 'route', 'admit', 'settle', 'audit', 'respond'].map((verb) => `proxy/stages/${verb}.ts`);
  const wrong = sources
    .filter(({ path }) => verbs.includes(path))
    .flatMap((source) => source.needs.filter((path) => verbs.includes(path)).map((path) => `${source.path} → ${path}`));
  assert.deepEqual(wrong, []);
});

/** A text without its comments; roughly, since a string may look like one. */
function codeOf(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
}

test('what is exported is used by another file', () => {
  const all = ['test', 'bench', 'scripts', ...rooms].flatMap((room) =>
    readdirSync(join(root, room), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => ({ path: join(room, name), words: new Set(codeOf(readFileSync(join(root, room, name), 'utf8')).match(/\w+/g)) })),
  );
  const unused = sources.flatMap(({ path, text }) =>
    [...text.matchAll(/^export (?:async )?(?:function|class|const|interface|type) (\w+)/gm)]
      .map((match) => match[1] ?? '')
      .filter((name) => !all.some((file) => file.path !== path && file.words.has(name)))
      .map((name) => `${path}: ${name}`),
  );
  assert.deepEqual(unused, []);
});

test('there is no barrel, default export, any or non-null assertion hidden from the linter', () => {
  const wrong = sources
    .filter(({ text }) => /^export (?:\*|default)|biome-ignore[^:]*no(?:Explicit|NonNull|Default|Barrel)/m.test(text))
    .map(({ path }) => path);
  assert.deepEqual(wrong, []);
});

test('ids are made in core/names.ts alone', () => {
  const made = /\bas (?:readonly )?(?:KeyName|PoolName|StreamId|TokenId|GrantId|EpochId|ObjectId)\b/;
  const wrong = sources
    .filter(({ path, text }) => made.test(text) && path !== 'core/names.ts' && !path.endsWith('/conformance.ts'))
    .map(({ path }) => path);
  assert.deepEqual(wrong, []);
});

/** Folders of files that are alike: a reader knows all when they know one. */
const alike = ['proxy/stages', 'operator/kube'];

test('a folder has 15 source files at most, but where they are alike', () => {
  const folders = Map.groupBy(sources, ({ path }) => dirname(path));
  const wrong = [...folders].filter(([folder, files]) => files.length > 15 && !alike.includes(folder));
  assert.deepEqual(
    wrong.map(([folder, files]) => `${folder}: ${files.length} files`),
    [],
  );
});

test('no file and folder of one name stand side by side', () => {
  const roots = [...rooms, 'test', 'bench', 'scripts'];
  const entries = roots.flatMap((name) => readdirSync(join(root, name), { recursive: true, withFileTypes: true }));
  const paths = new Set(entries.filter((entry) => entry.isDirectory()).map(({ parentPath, name }) => join(parentPath, name)));
  const wrong = entries
    .filter((entry) => entry.isFile() && paths.has(join(entry.parentPath, parse(entry.name).name)))
    .map(({ parentPath, name }) => relative(root, join(parentPath, name)));
  assert.deepEqual(wrong, []);
});

test('files are about 100 lines, seldom over 300 (a guide: the longest are listed)', (context) => {
  const sizes = sources.map(({ path, text }) => ({ path, lines: text.split('\n').length })).sort((a, b) => b.lines - a.lines);
  for (const { path, lines } of sizes.filter((each) => each.lines > 250)) context.diagnostic(`${lines} ${path}`);
  const middle = sizes[Math.floor(sizes.length / 2)]?.lines ?? 0;
  context.diagnostic(`median ${middle}, ${sizes.length} files`);
  assert.ok(middle <= 150, `the median file has ${middle} lines`);
});

import fc from 'fast-check';
import { type CorpusManifest, wholeKey, wholePool } from './manifests.ts';

type Path = readonly (string | number)[];

/** Strings near the borders of what some field takes. */
const strings = fc.oneof(
  fc.constantFrom(
    '',
    'a',
    'A',
    'a-',
    '-a',
    'a.b',
    'a..b',
    '*',
    'gpt-*',
    'Day',
    'Total',
    'Pod',
    'Gateway',
    'OpenAI',
    'Mistral',
    'AzureOpenAI',
  ),
  fc.constantFrom(
    '0',
    '0.0',
    '1',
    '01',
    '1.',
    '.5',
    '+1',
    '1e3',
    ' 1',
    '9007199.254740991',
    '9007199.254740992',
    '0.000001',
    '0.0000001',
    '999999999',
  ),
  fc.constantFrom('0s', '1s', '1h', '60m', '3600s', '1h0m1s', '1h1h', '1d', '999999h', '1000000h', 'h', '1m1h', '٣s'),
  fc.constantFrom('Etc/UTC', 'UTC', 'utc', 'Local', 'Europe/Berlin', 'Mars/Olympus', '+01:00', 'GMT+1', 'EST'),
  fc.constantFrom(
    '2026-12-01T00:00:00Z',
    '2026-02-29T00:00:00Z',
    '2028-02-29T00:00:00+23:59',
    '2026-12-01T23:59:60Z',
    '2026-13-01T00:00:00Z',
  ),
  fc.constantFrom(
    'https://h',
    'http://h:1/p',
    'HTTP://H',
    'https://h/..',
    'https://u@h',
    'https://h?q',
    'ftp://h',
    'https:///p',
    '//h',
    'https://[::1]/',
  ),
  fc.constantFrom('/v1', '/', '/v1 x', '/v1\u00a0x', '/v1\tx', '//', '/{m}:y', '/ü', 'ü', '\u0000', '😀', '__proto__', '<b>'),
  fc.string({ maxLength: 12 }),
  fc.stringMatching(/^[0-9hms.]{1,6}$/),
  fc.constantFrom(63, 64, 253, 254, 255, 256, 257).map((length) => 'a'.repeat(length)),
);
const numbers = fc.constantFrom(0, 1, -1, 0.5, 2, 1e15, Number.MAX_SAFE_INTEGER, 2 ** 53, 1e21);
const values: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 6, arbitrary: strings },
  { weight: 2, arbitrary: numbers },
  { weight: 2, arbitrary: fc.constantFrom(true, false, [], {}, [null], [''], { name: 'a' }, { name: 'a', namespace: 'b' }) },
  { weight: 1, arbitrary: fc.constant(null) },
);

type Mutation = { readonly kind: 'set'; readonly value: unknown } | { readonly kind: 'remove' } | { readonly kind: 'repeat' };

const mutations: fc.Arbitrary<Mutation> = fc.oneof(
  { weight: 8, arbitrary: values.map((value): Mutation => ({ kind: 'set', value })) },
  { weight: 1, arbitrary: fc.constantFrom<Mutation>({ kind: 'remove' }, { kind: 'repeat' }) },
);

function pathsOf(value: unknown, at: Path): readonly Path[] {
  if (typeof value !== 'object' || value === null) return [at];
  return [at, ...Object.entries(value).flatMap(([name, each]) => pathsOf(each, [...at, Array.isArray(value) ? Number(name) : name]))];
}

function mutate(manifest: CorpusManifest, path: Path, mutation: Mutation): CorpusManifest {
  const copy = structuredClone(manifest);
  // biome-ignore lint/suspicious/noExplicitAny: it reaches into any place
  let parent: any = copy;
  for (const step of path.slice(0, -1)) parent = parent[step];
  const last = path.at(-1) ?? '';
  if (mutation.kind === 'set') parent[last] = structuredClone(mutation.value);
  else if (Array.isArray(parent))
    parent.splice(Number(last), mutation.kind === 'remove' ? 1 : 0, ...(mutation.kind === 'repeat' ? [parent[Number(last)]] : []));
  else if (mutation.kind === 'remove') delete parent[last];
  return copy;
}

/** A good manifest with one place changed, mostly for the worse. */
export const mutants: fc.Arbitrary<CorpusManifest> = fc.constantFrom(wholeKey, wholePool).chain((manifest) => {
  const paths = pathsOf(manifest.spec, ['spec']);
  return fc.tuple(fc.constantFrom(...paths), mutations).map(([path, mutation]) => mutate(manifest, path, mutation));
});

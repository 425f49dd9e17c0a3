import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { isRefusal } from '../errors.ts';
import { defined } from '../json.ts';
import { emptySpec, type ProviderPool, type VirtualKey, type VirtualKeySpec } from '../manifest/types.ts';
import { keyName, type PoolName } from '../names.ts';
import { checkEndpoint, checkKey } from './check.ts';
import { compile } from './compile.ts';
import type { KeyDocument, PoolDocument } from './documents.ts';
import { type Candidate, routeModel } from './route.ts';

const names = ['a', 'ab', 'abc', 'b', 'ba'];
const patterns = [...names, 'a*', '*b', '*', 'b*'];
const routes = ['/1', '/2', '/3'];
const poolNames = ['s/p', 's/q'] as PoolName[];
const origin = { file: 'm.yaml', line: 1 };

const pools = poolNames.map(
  (name, index): ProviderPool => ({
    kind: 'ProviderPool',
    name,
    origin,
    provider: 'OpenAI',
    keys: [],
    consumers: [{ namespaceSelector: { matchLabels: {} } }],
    freeFields: [],
    models: names.slice(index).map((model) => ({ name: model, upstreamName: model, price: { input: 1, output: 1 } })),
  }),
);

const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const some = <T>(...values: readonly T[]) => fc.subarray([...values], { minLength: 1 });

const anySpec = fc.record({
  allow: maybe(some(...patterns)),
  deny: fc.subarray(names),
  aliases: fc.dictionary(fc.constantFrom('x', 'y', 'a'), fc.constantFrom(...names), { maxKeys: 2 }),
  endpoints: maybe(some(...routes)),
  usd: maybe(fc.nat(100)),
  tokens: maybe(fc.integer({ min: 1, max: 9 })),
  expiry: maybe(fc.nat(100)),
  suspended: fc.boolean(),
  pools: maybe(some(...poolNames)),
});

function keyOf(index: number, parent: number | undefined, given: typeof anySpec extends fc.Arbitrary<infer T> ? T : never): VirtualKey {
  const { allow, deny, aliases, endpoints, usd, tokens, expiry, suspended } = given;
  const named = given.pools ?? (parent === undefined ? poolNames : undefined);
  const spec: VirtualKeySpec = {
    ...emptySpec,
    models: { deny, aliases, ...defined({ allow }) },
    limits: usd === undefined ? [] : [{ window: 'Day', usdNano: usd, timeZone: 'Etc/UTC' }],
    perRequest: defined({ usdNano: usd, outputTokens: tokens }),
    suspended,
    ...defined({
      parentRef: parent === undefined ? undefined : keyName('n', `k${parent}`),
      pools: named,
      endpoints: endpoints && { allow: endpoints },
      expiresAtMs: expiry,
    }),
  };
  return { kind: 'VirtualKey', name: keyName('n', `k${index}`), origin, spec };
}

/** Trees of up to six keys: the parent of each is one before it. */
const trees = fc
  .array(fc.tuple(anySpec, fc.nat(5)), { minLength: 2, maxLength: 6 })
  .map((nodes) => nodes.map(([spec, parent], index) => keyOf(index, index === 0 ? undefined : parent % index, spec)));

type Served = ReadonlyMap<PoolName, PoolDocument>;

/** Everything that a key reaches, by whatever name. */
function reach(document: KeyDocument, served: Served): readonly Candidate[] {
  const called = [...names, ...names.map((name) => `p/${name}`), 'x', 'y', 'new'];
  return called.map((name) => routeModel(document, served, name, () => true)).flatMap((routed) => (isRefusal(routed) ? [] : routed));
}

/** The rule itself, written independently: one of the key's pools, in every allow list, in no deny list. */
function grants({ pools: own, models }: KeyDocument, { pool, model, upstreamModel }: Candidate): boolean {
  const fits = (pattern: string, name: string) => new RegExp(`^${pattern.replaceAll('*', '.*')}$`).test(name);
  const allowed = models.allow.every((list) => list.some((pattern) => fits(pattern, model)));
  return own.includes(pool.pool) && allowed && !models.deny.some((pattern) => fits(pattern, model) || fits(pattern, upstreamModel));
}

const atMost = (child: number | undefined, parent: number | undefined) =>
  (child ?? Number.POSITIVE_INFINITY) <= (parent ?? Number.POSITIVE_INFINITY);

describe('narrowing', () => {
  it('never gives a child what its parent lacks, in any tree', () => {
    fc.assert(
      fc.property(trees, fc.nat(100), (virtualKeys, nowMs) => {
        const { compiled } = compile({
          manifests: { virtualKeys, pools, namespaces: [], secrets: [] },
          createdAtMs: () => 0,
          children: [],
          isServed: () => false,
          book: () => [],
          learned: () => ({}),
          digest: (text) => hash('sha256', text),
        });
        const served: Served = new Map(compiled.pools.map((pool) => [pool.pool, pool]));
        const documents = new Map(compiled.keys.map((document) => [document.key, document]));
        for (const child of compiled.keys) {
          const parent = documents.get(child.path.at(-1) ?? child.key) ?? assert.fail('no parent');
          for (const candidate of reach(child, served)) assert.ok(grants(child, candidate) && grants(parent, candidate));
          assert.ok(child.pools.every((pool) => parent.pools.includes(pool)));
          for (const route of routes) assert.ok(checkEndpoint(child, route) !== null || checkEndpoint(parent, route) === null);
          assert.ok(checkKey(child, nowMs) !== null || checkKey(parent, nowMs) === null);
          assert.ok(atMost(child.perRequest.usdNano, parent.perRequest.usdNano));
          assert.ok(atMost(child.perRequest.outputTokens, parent.perRequest.outputTokens));
          assert.ok(atMost(child.smallestCapNano, parent.smallestCapNano));
          assert.ok(atMost(child.expiresAtMs, parent.expiresAtMs));
        }
      }),
      { numRuns: 150 },
    );
  });
});

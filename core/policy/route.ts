import { isRefusal, type Refusal, refuse } from '../errors.ts';
import type { ProviderKind } from '../manifest/providers.ts';
import { quote } from '../manifest/reader.ts';
import { type PoolName, partsOf } from '../names.ts';
import { type FoundModel, findModel, modelNames } from '../price/book.ts';
import type { ModelPrice } from '../price/types.ts';
import type { KeyDocument, PoolDocument } from './documents.ts';
import { rulesOf } from './rules.ts';

type Pools = ReadonlyMap<PoolName, PoolDocument>;

/** One pool and upstream model that may serve a request. */
export interface Candidate {
  readonly pool: PoolDocument;
  /** The public name, after aliases and without a pool's prefix. */
  readonly model: string;
  readonly upstreamModel: string;
  /** Its name in manifests or the price book, for metrics; absent: only the caller names it. */
  readonly knownAs?: string;
  /** Null: the model is allowed by name, but its price is unknown. */
  readonly price: ModelPrice | null;
}

/** Readings of a model's name, best first. The first one with a pool that speaks the dialect wins. */
type Readings = readonly (readonly Candidate[])[];

const maxNameLength = 256;
const maxRemembered = 512;
const remembered = new WeakMap<Pools, WeakMap<KeyDocument, Map<string, Readings>>>();

/**
 * The pools and upstream models that may serve `model`, in order of preference: alias first (applied once), then the
 * exact name in pool order, then `<pool>/<model>`. A model that is allowed by name but has no price is a candidate
 * without a price. None: `model_denied`. Pure; results are cached by identity of document and pools.
 */
export function routeModel(
  document: KeyDocument,
  pools: Pools,
  model: string,
  speaks: (pool: PoolDocument) => boolean,
): readonly Candidate[] | Refusal {
  const readings = recall(document, pools, model);
  for (const candidates of readings) {
    if (candidates.every(({ pool }) => speaks(pool))) return candidates;
    const speaking = candidates.filter(({ pool }) => speaks(pool));
    if (speaking.length > 0) return speaking;
  }
  return readings.length === 0 ? denied(document, pools, model, speaks) : unspoken(document, model, readings);
}

/** `routeModel` for calls that nobody pays for: where no pool prices the model, each that speaks the dialect may serve it. */
export function routeFree(
  document: KeyDocument,
  pools: Pools,
  model: string,
  speaks: (pool: PoolDocument) => boolean,
): readonly Candidate[] | Refusal {
  const routed = routeModel(document, pools, model, speaks);
  if (!isRefusal(routed) || model.length > maxNameLength || rulesOf(document).denies(model)) return routed;
  const name = aliased(document, model);
  const candidates = poolsOf(document, pools)
    .filter(speaks)
    .flatMap((pool) => unpriced(document, pool, name));
  return candidates.length > 0 ? candidates : routed;
}

/** The name of a model in manifests or the price book, whether the key may use it or not; null: only the caller names it. */
export function knownModel(document: KeyDocument, pools: Pools, model: string): string | null {
  const name = aliased(document, model);
  for (const pool of poolsOf(document, pools)) {
    for (const reading of [name, ...withoutPrefix(pool, name)]) {
      const found = findModel(pool, reading);
      if (found !== null) return found.bookId ?? reading;
    }
  }
  return null;
}

function recall(document: KeyDocument, pools: Pools, model: string): Readings {
  if (model.length > maxNameLength) return [];
  const byDocument = remembered.get(pools) ?? new WeakMap<KeyDocument, Map<string, Readings>>();
  const byModel = byDocument.get(document) ?? new Map<string, Readings>();
  const known = byModel.get(model);
  if (known !== undefined) return known;
  const readings = read(document, pools, model);
  if (byModel.size >= maxRemembered) byModel.clear(); // callers choose names: what is kept of them is bounded
  remembered.set(pools, byDocument.set(document, byModel.set(model, readings)));
  return readings;
}

function read(document: KeyDocument, pools: Pools, requested: string): Readings {
  if (rulesOf(document).denies(requested)) return [];
  const model = aliased(document, requested);
  const own = poolsOf(document, pools);
  const prefixed = own.flatMap((pool) => withoutPrefix(pool, model).map((name) => ({ pool, name })));
  const exact = own.map((pool) => ({ pool, name: model }));
  // Price books match some models by a part of the name. A prefix that names a pool takes precedence.
  const isNamed = ({ pool }: { readonly pool: PoolDocument }) => prefixed.length === 0 || modelNames(pool).includes(model);
  const readings = [exact.filter(isNamed), prefixed, exact.filter((attempt) => !isNamed(attempt))]
    .map((attempts) => attempts.flatMap(({ pool, name }) => priced(document, pool, name)))
    .filter((candidates) => candidates.length > 0);
  if (readings.length > 0 || document.models.allow.length === 0) return readings;
  return [prefixed, exact]
    .filter((attempts) => attempts.every(({ pool, name }) => findModel(pool, name) === null)) // priced somewhere, hence denied there
    .map((attempts) => attempts.flatMap(({ pool, name }) => unpriced(document, pool, name)))
    .filter((candidates) => candidates.length > 0)
    .slice(0, 1);
}

function aliased(document: KeyDocument, model: string): string {
  const { aliases } = document.models;
  return (Object.hasOwn(aliases, model) ? aliases[model] : undefined) ?? model;
}

function poolsOf(document: KeyDocument, pools: Pools): readonly PoolDocument[] {
  return document.pools.flatMap((name) => pools.get(name) ?? []);
}

function withoutPrefix({ pool }: PoolDocument, model: string): readonly string[] {
  const prefixes = [`${pool}/`, `${partsOf(pool).name}/`];
  return prefixes.filter((prefix) => model.startsWith(prefix) && model.length > prefix.length).map((prefix) => model.slice(prefix.length));
}

function priced(document: KeyDocument, pool: PoolDocument, model: string): readonly Candidate[] {
  const found = findModel(pool, model);
  if (found === null || !permits(document, model, found)) return [];
  // Without a name in the book, the pool's own list has it by this very name.
  return [{ pool, model, upstreamModel: found.upstreamName, knownAs: found.bookId ?? model, price: found.price }];
}

function unpriced(document: KeyDocument, pool: PoolDocument, model: string): readonly Candidate[] {
  const upstreamModel = pool.models.find(({ name }) => name === model)?.upstreamName ?? model;
  return permits(document, model, { upstreamName: upstreamModel }) ? [{ pool, model, upstreamModel, price: null }] : [];
}

// Policy also applies to the model name that the provider receives, so that a pool's own name or a dated name cannot evade a denial.
function permits(document: KeyDocument, model: string, { upstreamName, bookId = model }: Omit<FoundModel, 'price'>): boolean {
  const rules = rulesOf(document);
  return rules.allows(model) && ![model, upstreamName, bookId].some(rules.denies);
}

function denied(document: KeyDocument, pools: Pools, model: string, speaks: (pool: PoolDocument) => boolean): Refusal {
  const names = listModels(document, pools, speaks).map(({ id }) => id);
  const more = names.length > 10 ? ` and ${names.length - 10} more` : '';
  const advice = names.length === 0 ? 'none that its pools price is allowed here' : `allowed: ${names.slice(0, 10).join(', ')}${more}`;
  const rules = rulesOf(document);
  const moves = model.endsWith('latest') && rules.allows(model) && !rules.denies(model);
  const cause = moves
    ? '. This name moves from model to model, so no price list has it: call the model itself, or price the name in spec.models of a pool'
    : '';
  return refuse('model_denied', `key ${document.key} may not use the model ${quote(model)}; ${advice}${cause}`);
}

function unspoken(document: KeyDocument, model: string, readings: Readings): Refusal {
  const providers = [...new Set(readings.flat().map(({ pool }) => pool.provider))].join(' or ');
  const message = `key ${document.key} may use the model ${quote(model)}, but not at this endpoint; call it at one that ${providers} serves`;
  return refuse('model_denied', message);
}

/** A model by the name under which a key may call it. */
export interface ListedModel {
  readonly id: string;
  readonly pool: PoolName;
  readonly provider: ProviderKind;
  /** Null: unknown. */
  readonly price: ModelPrice | null;
}

/** The concrete names that this key may call, aliases first, each once, from the first pool that can serve it. */
export function listModels(
  document: KeyDocument,
  pools: Pools,
  speaks: (pool: PoolDocument) => boolean = () => true,
): readonly ListedModel[] {
  const listed = new Map<string, Pick<Candidate, 'pool' | 'price'>>();
  for (const alias of Object.keys(document.models.aliases)) {
    const reached = recall(document, pools, alias)
      .flat()
      .find(({ pool }) => speaks(pool));
    if (reached !== undefined) listed.set(alias, reached);
  }
  for (const pool of poolsOf(document, pools).filter(speaks)) {
    for (const name of modelNames(pool)) {
      // An alias hides a model of its name, even if the alias has no target.
      if (listed.has(name) || Object.hasOwn(document.models.aliases, name)) continue;
      const found = findModel(pool, name);
      if (found !== null && permits(document, name, found)) listed.set(name, { pool, price: found.price });
    }
  }
  return [...listed].map(([id, { pool, price }]) => ({ id, pool: pool.pool, provider: pool.provider, price }));
}

import { type CorpusCase, type CorpusManifest, credential, durations, key, limit, long, pool } from './manifests.ts';

const many = <T>(count: number, make: (index: number) => T): readonly T[] => Array.from({ length: count }, (_, index) => make(index));
const members = (count: number) => Object.fromEntries(many(count, (index) => [`m${index}`, 'x']));
const secretRef = { name: 's', key: 'k' };

/** What a key or pool has at most, each with a list or mapping of a length. */
const sizes: readonly (readonly [path: string, most: number, make: (count: number) => CorpusManifest])[] = [
  ['spec.owner', 32, (count) => key({ owner: members(count) })],
  ['spec.labels', 32, (count) => key({ labels: members(count) })],
  ['spec.pools', 32, (count) => key({ pools: many(count, (index) => ({ name: `p${index}` })) })],
  ['spec.models.allow', 256, (count) => key({ models: { allow: many(count, (index) => `m${index}`) } })],
  ['spec.models.deny', 256, (count) => key({ models: { deny: many(count, (index) => `m${index}`) } })],
  ['spec.models.aliases', 64, (count) => key({ models: { aliases: members(count) } })],
  ['spec.endpoints.allow', 64, (count) => key({ endpoints: { allow: many(count, (index) => `/${index}`) } })],
  ['spec.children.namespaceSelector.matchLabels', 32, (count) => key({ children: { namespaceSelector: { matchLabels: members(count) } } })],
  ['spec.keys', 256, (count) => pool({ keys: many(count, (index) => ({ name: `k${index}`, secretRef })) })],
  ['spec.consumers', 64, (count) => pool({ consumers: many(count, () => ({ namespaceSelector: {} })) })],
  ['spec.models', 256, (count) => pool({ models: many(count, (index) => ({ name: `m${index}` })) })],
];

/** How much of everything there may be. */
export const bounds: readonly CorpusCase[] = [
  ...sizes.flatMap(([path, most, make]): readonly CorpusCase[] => [
    { what: `${most} items of ${path}`, manifest: make(most) },
    { what: `${most + 1} items of ${path}`, manifest: make(most + 1), wrong: path, says: [`must have at most ${most} items`] },
  ]),
  {
    what: 'an owner of 257 characters',
    manifest: key({ owner: { team: long(257) } }),
    wrong: 'spec.owner.team',
    says: ['may not be more than 256'],
  },
  { what: 'an owner of 256 wide characters', manifest: key({ owner: { team: long(256, '😀') } }) },
  {
    what: 'a label of 257 characters',
    manifest: key({ labels: { a: long(257) } }),
    wrong: 'spec.labels.a',
    says: ['may not be more than 256'],
  },
  {
    what: 'a scope of 257 characters',
    manifest: pool({ keys: [{ ...credential, quotaScope: long(257) }] }),
    wrong: 'spec.keys[0].quotaScope',
    says: ['may not be more than 256'],
  },
  { what: 'a duration of centuries', manifest: key({ ttl: '1000000h' }), wrong: 'spec.ttl', says: [durations] },
  { what: 'an hour that no clock shows', manifest: key({ expiresAt: '2026-12-01T24:00:00Z' }), wrong: 'spec.expiresAt', says: ['date'] },
  {
    what: 'a time zone in lower case',
    manifest: limit({ usd: '5', timeZone: 'europe/berlin' }),
    wrong: 'spec.limits[0].timeZone',
    says: ['"Etc/UTC" or "Europe/Berlin"'],
  },
];

import { type CorpusCase, endpoint, key, limit, long, pool, price, wholeKey, wholePool, windows } from './manifests.ts';

/** What is taken, up to the borders. */
export const good: readonly CorpusCase[] = [
  { what: 'a key with every field', manifest: wholeKey },
  { what: 'a pool with every field', manifest: wholePool },
  { what: 'a key of nothing', manifest: key({}) },
  { what: 'a key that holds a budget only', manifest: key({ issueToken: false, suspended: true }) },
  { what: 'a limit of nothing at all', manifest: limit({ usd: '0' }) },
  { what: 'the largest amount', manifest: limit({ usd: '9007199.254740991', requests: Number.MAX_SAFE_INTEGER }) },
  { what: 'the smallest amount', manifest: key({ perRequest: { usd: '0.000000001' } }) },
  { what: 'an empty list of limits', manifest: key({ limits: [] }) },
  { what: 'a key that may call no model and no route', manifest: key({ models: { allow: [] }, endpoints: { allow: [] } }) },
  { what: 'every window', manifest: key({ limits: windows.map((window) => ({ window, usd: '1' })) }) },
  {
    what: 'time zones',
    manifest: key({
      limits: ['Etc/UTC', 'UTC', 'US/Pacific', 'Asia/Kolkata', 'America/Argentina/Buenos_Aires'].map((timeZone, index) => ({
        window: windows[index],
        usd: '1',
        timeZone,
      })),
    }),
  },
  { what: 'the longest durations', manifest: key({ ttl: '999999h9999999m999999999s', rotation: { every: '1s', overlap: '0s' } }) },
  { what: 'durations in other units', manifest: key({ ttl: '90m', run: { ttl: '007s' } }) },
  { what: 'an instant with offset and fraction', manifest: key({ expiresAt: '2028-02-29T23:59:59.123456789-11:30' }) },
  { what: 'the longest name', manifest: key({}, [long(63), long(63), long(63), long(61)].join('.')) },
  {
    what: 'the longest names of models and routes',
    manifest: key({ models: { deny: [long(256)] }, endpoints: { allow: [`/${long(255)}`] } }),
  },
  { what: 'a run of any kind', manifest: key({ run: {} }) },
  { what: 'a pool for nobody', manifest: pool({ consumers: [] }) },
  { what: 'prices with trailing zeros', manifest: price({ input: '0.000001000', output: '9007199.254740' }) },
  { what: 'an endpoint with a path', manifest: endpoint('HTTPS://Host.example:8443/a/b@c/') },
  { what: 'an endpoint by address', manifest: endpoint('http://[::1]:8080') },
];

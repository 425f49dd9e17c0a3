// The operator of a proxy of the benches: a real broker over a real store, sessions over TLS; only who the proxy is is taken on trust.
// Prints one line: {"url","ca","keys":{"NAMESPACE/NAME": token}}. `node bench/operator.ts MANIFEST DIR NAMESPACE/NAME`: the key of a
// sidecar; without it the proxy is a gateway. Every secret of a pool is `sk-bench`.
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { storedKey } from '../core/names.ts';
import { sessionTimings } from '../core/protocol/session.ts';
import { createBroker } from '../operator/broker.ts';
import { ProviderPrices } from '../operator/prices/prices.ts';
import type { AttestedScope } from '../operator/sessions/scope.ts';
import { makeCertificates, silent, startReplica } from '../operator/sessions/world.fixture.ts';
import { readPolicy } from '../operator/standalone/read-policy.ts';
import { openSqliteStore } from '../operator/store/sqlite.ts';

const [manifest = '', dir = '', sidecarKey] = process.argv.slice(2);
mkdirSync(dir, { recursive: true });
const store = openSqliteStore({ path: join(dir, 'keyforge.db'), clock: Date.now });
const prices = new ProviderPrices({ decides: () => true, logger: silent });
const broker = createBroker({
  book: (tx, provider, endpoint) => prices.book(tx, provider, endpoint),
  ...{ store, random: randomBytes, rootKey: randomBytes(32), instance: 'bench', logger: silent },
  poolProblems: 'refuse',
  decides: () => true,
  onChange: () => {},
});
const { policy } = await readPolicy({ paths: [manifest], secrets: { KEYFORGE_SECRET_OPENAI_BENCH: 'sk-bench' }, missing: 'problem' });
broker.adopt(policy);
const run = { podUid: 'bench', podName: 'bench' };
const scope: AttestedScope =
  sidecarKey === undefined
    ? { kind: 'gateway', instance: 'bench' }
    : { kind: 'sidecar', instance: 'bench', key: storedKey(sidecarKey), run, podCreatedAtMs: Date.now() };
const certificates = await makeCertificates();
const replica = await startReplica({
  attestor: { attest: async () => scope, judge: () => scope },
  certificates,
  host: broker,
  timings: sessionTimings,
});
const keys = Object.fromEntries(policy.manifests.virtualKeys.map(({ name }) => [name, broker.token(name)]));
process.stdout.write(`${JSON.stringify({ url: replica.url, ca: certificates.ca, keys })}\n`);

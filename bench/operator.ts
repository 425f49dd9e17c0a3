// The operator of the benches' sidecar: a real broker over a real store, sessions over TLS; only who the proxy is is taken on trust.
// Prints one line: {"url","ca","key"}. `node bench/operator.ts MANIFEST DIR`
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { keyName } from '../core/names.ts';
import { sessionTimings } from '../core/protocol/session.ts';
import { createBroker } from '../operator/broker.ts';
import { ProviderPrices } from '../operator/prices/prices.ts';
import type { AttestedScope } from '../operator/sessions/scope.ts';
import { makeCertificates, silent, startReplica } from '../operator/sessions/world.fixture.ts';
import { readPolicy } from '../operator/standalone/read-policy.ts';
import { openSqliteStore } from '../operator/store/sqlite.ts';

const [manifest = '', dir = ''] = process.argv.slice(2);
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
const key = keyName('agents', 'bench');
const scope: AttestedScope = {
  kind: 'sidecar',
  instance: 'bench',
  key,
  run: { podUid: 'bench', podName: 'bench' },
  podCreatedAtMs: Date.now(),
};
const certificates = await makeCertificates();
const replica = await startReplica({
  attestor: { attest: async () => scope, judge: () => scope },
  certificates,
  host: broker,
  timings: sessionTimings,
});
process.stdout.write(`${JSON.stringify({ url: replica.url, ca: certificates.ca, key: broker.token(key) })}\n`);

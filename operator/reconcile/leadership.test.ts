import assert from 'node:assert/strict';
import { test } from 'node:test';
import { secrets } from '../kube/resources.ts';
import { secretObject } from './bench.fixture.ts';
import { createFakeKube } from './fake-kube.fixture.ts';
import { createLeadership, leadOnly, type Term } from './leadership.ts';

test('a replica leads from the start of a term to its end, and only while it holds the Lease', async () => {
  const leadership = createLeadership();
  let holdsLease = true;
  assert.equal(leadership.leads(), false);
  const term = new AbortController();
  const work = leadership.lead(term.signal, () => holdsLease);
  assert.equal(leadership.leads(), true);
  holdsLease = false;
  assert.equal(leadership.leads(), false);
  holdsLease = true;
  term.abort();
  assert.equal(leadership.leads(), false);
  await work;
});

test('it decides which keys live once it is informed, in each term', async () => {
  const leadership = createLeadership();
  const terms: Term[] = [];
  leadership.onTerm((term) => void terms.push(term));
  const first = new AbortController();
  await leadership.lead(first.signal, () => true);
  assert.equal(leadership.decides(), false);
  terms[0]?.inform();
  assert.equal(leadership.decides(), true);
  first.abort();
  assert.equal(leadership.decides(), false);
  await leadership.lead(new AbortController().signal, () => true);
  terms[0]?.inform();
  assert.equal(leadership.decides(), false);
  terms[1]?.inform();
  assert.equal(leadership.decides(), true);
});

test('a term is over when all its work is', async () => {
  const leadership = createLeadership();
  const order: string[] = [];
  const lastWrite = Promise.withResolvers<void>();
  leadership.onTerm(() => lastWrite.promise.then(() => void order.push('the last write')));
  const term = new AbortController();
  const over = leadership.lead(term.signal, () => true).then(() => void order.push('over'));
  term.abort();
  await Promise.resolve();
  lastWrite.resolve();
  await over;
  assert.deepEqual(order, ['the last write', 'over']);
});

test('a replica that does not lead may read, and writes nothing', async () => {
  const kube = createFakeKube();
  const leadership = createLeadership();
  const client = leadOnly(kube.client, leadership);
  const secret = secretObject('agents', 'bot', {});
  await assert.rejects(client.create(secrets, secret), /does not lead/);
  assert.equal(await client.get(secrets, { namespace: 'agents', name: 'bot' }), null);
  void leadership.lead(new AbortController().signal, () => true);
  await client.create(secrets, secret);
  assert.deepEqual(kube.writes(), ['create secrets agents/bot']);
});

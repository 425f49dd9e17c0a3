import assert from 'node:assert/strict';
import { before } from 'node:test';
import { connectOperator, type Session } from '../../proxy/link/session.ts';
import { openBench } from '../broker.fixture.ts';
import { conformanceKeys, controlConformance, type Subject } from './conformance.ts';
import { makeCertificates, quick, scripted, silent, startReplica, type TestCertificates } from './world.fixture.ts';

let certificates: TestCertificates;
before(async () => {
  certificates = await makeCertificates();
});

/** Gateways; the token of each is its name. */
const gateways = ['proxy-1', 'proxy-2', 'proxy-3', 'proxy-4'];

async function open(): Promise<Subject> {
  const bench = openBench();
  assert.deepEqual(bench.declare(conformanceKeys), []);
  const attestor = scripted(new Map(gateways.map((instance) => [instance, { kind: 'gateway', instance }])));
  const replica = await startReplica({ certificates, attestor, host: bench.broker });
  const sessions: Session[] = [];
  async function another(instance: string): Promise<Session> {
    const session = connectOperator({
      url: replica.url,
      ca: certificates.ca,
      readToken: () => Promise.resolve(instance),
      logger: silent,
      monotonic: () => performance.now(),
      random: Math.random,
      timings: quick,
    });
    sessions.push(session);
    await session.instance;
    return session;
  }
  return {
    control: await another('proxy-1'),
    another,
    cut: () => void replica.crash(),
    async close() {
      for (const session of sessions) session.close();
      await replica.close();
      bench.close();
    },
  };
}

controlConformance('over TLS', open);

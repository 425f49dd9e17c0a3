import assert from 'node:assert/strict';
import { before } from 'node:test';
import { connectOperator } from '../../proxy/state/session.ts';
import { conformanceKeys, controlConformance, type Subject } from '../broker/conformance.ts';
import { openBench } from '../broker/fixture.ts';
import { hostOf, makeCertificates, quick, scripted, sidecar, silent, startReplica, type TestCertificates } from './world.fixture.ts';

let certificates: TestCertificates;
before(async () => {
  certificates = await makeCertificates();
});

async function open(): Promise<Subject> {
  const bench = openBench();
  assert.deepEqual(bench.declare(conformanceKeys), []);
  const attestor = scripted(new Map([['token-1', sidecar('pod-1')]]));
  const replica = await startReplica({ certificates, attestor, host: hostOf(bench.broker) });
  const control = connectOperator({
    url: replica.url,
    ca: certificates.ca,
    readToken: () => Promise.resolve('token-1'),
    logger: silent,
    monotonic: () => performance.now(),
    random: Math.random,
    timings: quick,
  });
  await control.instance;
  return {
    control,
    cut: () => void replica.crash(),
    async close() {
      control.close();
      await replica.close();
      bench.close();
    },
  };
}

controlConformance('over TLS', open);

// Everything that the tests of this folder build from source, ahead of them: a few minutes once on a machine, then nothing.
import { setPriority } from 'node:os';
import { buildKubernetes, buildPause, canRunControlPlane } from './build.ts';
import { helmBinary } from './helm.ts';

const can = canRunControlPlane();
if (can.ok) {
  // Other tests run meanwhile.
  setPriority(10);
  await helmBinary();
  await buildPause();
  await buildKubernetes();
} else {
  process.stderr.write(`Kubernetes is not built, its tests will be skipped: ${can.why}\n`);
}

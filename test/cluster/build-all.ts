// Everything that the tests of this folder build from source, ahead of them: a few minutes once on a machine, then nothing.
import type { Socket } from 'node:net';
import { setPriority } from 'node:os';
import { buildKubernetes, buildPause, canRunControlPlane } from './build.ts';
import { helmBinary } from './helm.ts';

// Set by who starts this in a process group of its own: that ends with it, compilers and all.
if (process.env['EXIT_WITH_STDIN'] !== undefined) {
  (process.stdin as Socket).on('end', () => process.kill(0, 'SIGKILL')).resume();
  (process.stdin as Socket).unref();
}
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

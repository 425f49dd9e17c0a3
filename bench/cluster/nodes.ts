import { join } from 'node:path';
import { type Component, startProcess } from '../../test/cluster/component.ts';
import type { ControlPlane } from '../../test/cluster/control-plane.ts';
import { kwokBinary, kwokStages } from '../../test/cluster/kwok.ts';
import { demand } from './world.ts';

/** Nodes of KWOK: Pods on them are told to run, and nothing does. */
export interface FakeNodes {
  readonly names: readonly string[];
  close(): Promise<void>;
}

/** Makes nodes, and waits until they are ready. */
export async function startFakeNodes(cp: ControlPlane, count: number): Promise<FakeNodes> {
  const names = Array.from({ length: count }, (_, index) => `kwok-${index}`);
  const flags = { kubeconfig: cp.adminKubeconfigPath, config: kwokStages, 'manage-all-nodes': true, 'server-address': '127.0.0.1:0' };
  const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
  // Ends with the pipe that this process holds, as the control plane does.
  const script = '"$@" & pid=$!; cat > /dev/null; kill $pid';
  const log = join(cp.logsFolder, 'kwok.log');
  const kwok: Component = await startProcess('sh', ['-c', script, 'sh', await kwokBinary(), ...args], log);
  for (const name of names) {
    const metadata = { name, labels: { type: 'kwok' }, annotations: { 'kwok.x-k8s.io/node': 'fake' } };
    await demand(cp.client, 'POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata });
  }
  await kwok.until(async () => {
    const { body } = await demand(cp.client, 'GET', '/api/v1/nodes');
    const ready = (body.items as readonly NodeObject[]).filter(({ status }) =>
      status.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True'),
    );
    return ready.length === count;
  });
  return { names, close: kwok.end };
}

interface NodeObject {
  readonly status: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

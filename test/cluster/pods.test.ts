import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { runAudit } from '../../cli/audit.ts';
import { captureStreams } from '../../cli/streams.fixture.ts';
import { canRunPods } from './cluster.ts';
import { keyPath, read, until } from './operator-world.ts';
import { secretsStayIn } from './pods-canary.ts';
import { keysAreGuarded } from './pods-guard.ts';
import { agentsLive } from './pods-life.ts';
import { agentsOutlastOutages } from './pods-outages.ts';
import { estimatedNano, type Stage } from './stage.ts';
import { agentsNamespace, nanoOf, startWorld, type World } from './world.ts';

const machine = await canRunPods();
const options = { skip: machine.ok ? false : machine.why, timeout: 300_000 } as const;
/** An install alone may take four minutes; a hook does not get the time of its tests. */
const setup = { timeout: 900_000 };
let world: World;
const stage: Stage = { options, world: () => world };

before(async () => {
  if (machine.ok) world = await startWorld();
}, setup);
after(() => world?.close());

// One world for all; in this order, since what comes later breaks more.
agentsLive(stage);
agentsOutlastOutages(stage);
keysAreGuarded(stage);
secretsStayIn(stage);

test('at the end all that the provider billed is recorded, in status and in a chain that verifies', options, async (t) => {
  const billed = Number(world.provider.bill().totalPico) / 1000;
  const recordedCalls = () => world.records().filter((body) => body.type === 'call');
  await until('all calls are recorded', async () => billed <= nanoOf(recordedCalls()) + estimatedNano(world));
  const calls = recordedCalls();
  t.diagnostic(
    `billed ${billed} nano-USD in ${world.provider.bill().calls} calls, recorded ${nanoOf(calls)}, at the bound ${estimatedNano(world)}`,
  );
  assert.ok(nanoOf(calls) <= billed && billed <= nanoOf(calls) + estimatedNano(world));
  // Written half a minute after the last call at the latest.
  await until(
    'the status of a key tells what it spent',
    async () => {
      const { status } = await read(world.cluster, keyPath(agentsNamespace, 'poor'));
      return Number(status.spent) === nanoOf(world.calls('poor')) / 1e9;
    },
    120_000,
  );
  const io = captureStreams();
  assert.equal(await runAudit(['verify', '--data', world.dataDir], io), 0, io.printed.out + io.printed.err);
  t.diagnostic(io.printed.out.trim());
});

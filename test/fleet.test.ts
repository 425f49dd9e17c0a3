import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runFleet } from '../bench/fleet/fleet.ts';
import { shapes } from '../bench/fleet/shapes.ts';

const cases = [
  { shape: 'code', agents: 1, capUsd: 1 },
  { shape: 'code', agents: 1, capUsd: 5 },
  { shape: 'code', agents: 2, capUsd: 1 },
  { shape: 'chain', agents: 1, capUsd: 1 },
  { shape: 'chat', agents: 1, capUsd: 1 },
] as const;

for (const { shape, agents, capUsd } of cases) {
  const { name } = shapes[shape];
  test(`${name}, ${agents} on $${capUsd}: nothing past the cap, no refusal of what would fit, and the share of an oracle`, async (context) => {
    const result = await runFleet({ shape: shapes[shape], agents, capUsd, seed: 1 });
    context.diagnostic(
      `share ${result.share.toFixed(4)}, oracle ${result.oracle.toFixed(4)}, by counts ${result.countedOracle.toFixed(4)}, ${result.calls} calls, ${result.counts} counts`,
    );
    assert.equal(result.overspendUsd, 0);
    assert.deepEqual(
      result.ends.filter(({ countedUsd, leftUsd }) => countedUsd <= leftUsd),
      [],
    );
    assert.ok(result.share >= result.countedOracle - 0.01, `${result.share} of the cap, an oracle reaches ${result.countedOracle}`);
  });
}

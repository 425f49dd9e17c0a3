// `npm run fleet [-- --shape code|chain|chat --agents N --cap USD --seed N]`: how much of a cap agents can use; docs/budgets.md says what the columns mean.
import { parseArgs } from 'node:util';
import { type End, type FleetResult, runFleet } from './fleet.ts';
import { shapes } from './shapes.ts';

type ShapeName = keyof typeof shapes;

interface Case {
  readonly shape: ShapeName;
  readonly agents: number;
  readonly capUsd: number;
}

const { values } = parseArgs({
  options: { shape: { type: 'string' }, agents: { type: 'string' }, cap: { type: 'string' }, seed: { type: 'string', default: '1' } },
});
const seed = Number(values.seed);
const names = Object.keys(shapes).filter((name): name is ShapeName => values.shape === undefined || values.shape === name);
const caps = values.cap === undefined ? [1, 5, 50] : [Number(values.cap)];

const cases = names.flatMap((shape): readonly Case[] => {
  const agents = values.agents === undefined ? (shape === 'code' ? [1, 8] : [1]) : [Number(values.agents)];
  return agents.flatMap((count) => caps.map((capUsd) => ({ shape, agents: count, capUsd })));
});

const wouldFit = ({ ends }: FleetResult, by: 'exactUsd' | 'countedUsd'): readonly End[] => ends.filter((end) => end[by] <= end.leftUsd);
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

function row({ shape, agents, capUsd }: Case, result: FleetResult, seconds: number): readonly string[] {
  const codes = Map.groupBy(result.ends, ({ code }) => code);
  return [
    shapes[shape].name,
    String(agents),
    `$${capUsd}`,
    percent(result.share),
    percent(result.oracle),
    percent(result.finalShare),
    String(wouldFit(result, 'exactUsd').length),
    String(wouldFit(result, 'countedUsd').length),
    [...codes].map(([code, ends]) => `${ends.length} ${code}`).join(', '),
    `$${result.overspendUsd.toFixed(4)}`,
    String(result.calls),
    String(result.counts),
    String(result.waits),
    seconds.toFixed(0),
  ];
}

const header = [
  'agents',
  'n',
  'cap',
  'share',
  'oracle',
  'in the end',
  'would fit',
  'beyond the margin',
  'ends',
  'overspend',
  'calls',
  'counts',
  'waits',
  'seconds',
];
const rows: (readonly string[])[] = [];
for (const each of cases) {
  const startedMs = performance.now();
  const onCall = (share: number): void => {
    if (process.stderr.isTTY) process.stderr.write(`\r${shapes[each.shape].name}, ${each.agents} on $${each.capUsd}: ${percent(share)} `);
  };
  const result = await runFleet({ ...each, shape: shapes[each.shape], seed, onCall });
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  rows.push(row(each, result, (performance.now() - startedMs) / 1000));
  console.error(rows.at(-1)?.join(' | '));
  for (const end of wouldFit(result, 'exactUsd')) {
    const [exact, counted, left] = [end.exactUsd, end.countedUsd, end.leftUsd].map((usd) => usd.toFixed(4));
    console.error(`  ${end.marker} ${end.code}: needs $${exact} by exact tokens, $${counted} by a count; left $${left}. ${end.message}`);
  }
}
for (const line of [header, header.map(() => '---'), ...rows]) console.log(`| ${line.join(' | ')} |`);

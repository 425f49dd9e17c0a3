// `node test/tokens/ratios.ts`: how far the bound of a call's input is above what providers counted, over the recordings.
import { features, type RecordedCall, recordedCalls } from './recorded.ts';

const calls = recordedCalls();
if (calls === null) throw new Error('The recordings are not beside the repository (../shared/recordings).');
const vendors = [...new Set(calls.map(({ vendor }) => vendor))];

/** A table with a row for each feature and a column for each provider. */
function print(title: string, cell: (some: readonly RecordedCall[]) => string): void {
  console.log(`\n${title}\n`);
  console.log(`| | ${vendors.join(' | ')} |`);
  console.log(`|---|${'---:|'.repeat(vendors.length)}`);
  for (const feature of features) {
    const cells = vendors.map((vendor) => {
      const some = (calls ?? []).filter((call) => call.vendor === vendor && call.feature === feature);
      return some.length === 0 ? '' : cell(some);
    });
    console.log(`| ${feature} | ${cells.join(' | ')} |`);
  }
}

function mean(numbers: readonly number[]): string {
  return (numbers.reduce((sum, each) => sum + each, 0) / numbers.length).toFixed(1);
}

print('Mean of bound / counted (calls); – where no call has a bound', (some) => {
  const ratios = some.flatMap(({ bound, tokens }) => (bound === null ? [] : [bound / tokens]));
  return ratios.length === 0 ? '–' : `${mean(ratios)} (${ratios.length})`;
});
print('Most tokens counted above the bound of the text: what a fixed overhead must cover', (some) =>
  String(Math.max(...some.map(({ shownTokens, tokens }) => tokens - shownTokens))),
);

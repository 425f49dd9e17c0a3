// `node test/tokens/ratios.ts`: how far the bound of a call's input is above what providers counted, over the recordings.
import { features, type RecordedCall, recordedCalls } from './recorded.ts';

const calls = recordedCalls();
if (calls === null) throw new Error('The recordings are not beside the repository (../shared/recordings).');

function mean(numbers: readonly number[]): string {
  return (numbers.reduce((sum, each) => sum + each, 0) / numbers.length).toFixed(1);
}

function row(vendor: string, feature: string, some: readonly RecordedCall[]): string {
  const bounded = some.filter(({ bound }) => bound !== null);
  const ratio = bounded.length === 0 ? '–' : mean(bounded.map(({ bound, tokens }) => (bound ?? 0) / tokens));
  const text = mean(some.map(({ textTokens, tokens }) => textTokens / tokens));
  const above = Math.max(...some.map(({ textTokens, tokens }) => tokens - textTokens));
  return `| ${vendor} | ${feature} | ${some.length} | ${bounded.length} | ${ratio} | ${text} | ${above} |`;
}

console.log('| provider | feature | calls | with a bound | mean bound / counted | mean text / counted | most counted above the text |');
console.log('|---|---|---:|---:|---:|---:|---:|');
for (const [vendor, ofVendor] of Map.groupBy(calls, (call) => call.vendor)) {
  for (const feature of features) {
    const some = ofVendor.filter((call) => call.feature === feature);
    if (some.length > 0) console.log(row(vendor, feature, some));
  }
}

import { formatUsd } from '../../core/money.ts';
import { countedRefusals, type RecordedCalls } from '../../operator/store/recorded-calls.ts';

interface Line {
  calls: number;
  input: number;
  output: number;
  nano: number;
}

/** The end of a run in plain words: calls, tokens and dollars by model, refusals by code. Several lines, no newline at the end. */
export function summarise(records: readonly RecordedCalls[]): string {
  const models = new Map<string, Line>();
  const calls = records.filter((record) => record.type === 'call');
  const refused = records.flatMap(countedRefusals);
  const refusals = new Map<string, number>();
  for (const { code, count } of refused) refusals.set(code, (refusals.get(code) ?? 0) + count);
  let total = 0;
  for (const call of calls) {
    const nano = Number(call.costNanoUsd);
    total += nano;
    if (call.code !== 'ok') refusals.set(call.code, (refusals.get(call.code) ?? 0) + 1);
    if (call.usage === undefined && nano === 0) continue;
    const name = call.servedModel ?? call.model ?? 'unknown model';
    const line = models.get(name) ?? { calls: 0, input: 0, output: 0, nano: 0 };
    const { input = 0, cachedInput = 0, cacheWrite = 0, output = 0 } = call.usage ?? {};
    models.set(name, {
      calls: line.calls + 1,
      input: line.input + input + cachedInput + cacheWrite,
      output: line.output + output,
      nano: line.nano + nano,
    });
  }
  const lines = [...models].map(
    ([name, line]) => `  ${name}: ${count(line.calls, 'call')}, ${line.input} tokens in, ${line.output} out, $${formatUsd(line.nano)}`,
  );
  const codes = [...refusals].map(([code, number]) => `${code} ${number}`).join(', ');
  const number = refused.reduce((sum, group) => sum + group.count, calls.length);
  return [`keyforge: ${count(number, 'call')}, $${formatUsd(total)}`, ...lines, ...(codes === '' ? [] : [`  not ok: ${codes}`])].join('\n');
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

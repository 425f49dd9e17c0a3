import type { CallBody, RefusalGroup } from '../../core/audit/types.ts';
import { formatUsd } from '../../core/money.ts';
import { countedRefusals, openCalls } from '../../operator/store/recorded-calls.ts';

const everyMs = 200;

/** One line a call: when, model, tokens, dollars; what went wrong where it did. */
function callLine(call: CallBody, remainingUsd: string | undefined): string {
  const time = call.time.slice(11, 19);
  const model = call.servedModel ?? call.model ?? call.endpoint;
  const { input = 0, cachedInput = 0, cacheWrite = 0, output = 0 } = call.usage ?? {};
  const tokens = call.usage === undefined ? 'no tokens' : `${input + cachedInput + cacheWrite} tokens in, ${output} out`;
  const cost = `$${formatUsd(Number(call.costNanoUsd))}`;
  const left = remainingUsd === undefined ? '' : `, $${remainingUsd} left`;
  return `${time}  ${model}  ${tokens}  ${cost}${left}${call.code === 'ok' ? '' : `  (${call.status} ${call.code})`}`;
}

/** One line a group of counted refusals: when the last one was, model, how many, and why. */
function refusalsLine({ code, count, endpoint, model, to }: RefusalGroup): string {
  return `${to.slice(11, 19)}  ${model ?? endpoint}  ${count} more refused  (${code})`;
}

/** Calls back with a line for each call and each group of refusals recorded from now on; returns how to stop. */
export function followCalls(
  dataDir: string,
  remaining: () => Promise<string | undefined>,
  print: (line: string) => void,
): () => Promise<void> {
  const records = openCalls(dataDir);
  records.next();
  let stopped = false;

  async function look(): Promise<void> {
    const recorded = records.next();
    if (recorded.length === 0) return;
    const left = await remaining();
    for (const record of recorded) {
      if (record.type === 'call') print(callLine(record, left));
      for (const group of countedRefusals(record)) print(refusalsLine(group));
    }
  }

  async function loop(): Promise<void> {
    while (!stopped) {
      await look();
      await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
    await look();
    records.close();
  }

  const done = loop();
  return () => {
    stopped = true;
    return done;
  };
}

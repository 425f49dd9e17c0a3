/**
 * Two honest agents at a steady pace: `node bench/siege/honest.ts '{"url":…,"tokens":[…],"seconds":…}'` prints one JSON line.
 * One speaks OpenAI's dialect and one Anthropic's, each by turns streamed and whole.
 */
interface Plan {
  readonly url: string;
  readonly tokens: readonly [openai: string, anthropic: string];
  readonly seconds: number;
}

/** What the agents saw. Latencies are of whole answers. */
export interface Honest {
  readonly calls: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Answers that are not 200, by status; 0: the connection broke. */
  readonly failures: Readonly<Record<string, number>>;
}

const pauseMs = 50;
const text = 'word '.repeat(200);

function requestOf(dialect: 'openai' | 'anthropic', token: string, stream: boolean): { path: string; init: RequestInit } {
  const messages = [{ role: 'user', content: text }];
  const path = dialect === 'openai' ? '/v1/chat/completions' : '/v1/messages';
  const body =
    dialect === 'openai'
      ? { model: 'gpt-5.4-mini', stream, max_completion_tokens: 100, messages }
      : { model: 'claude-haiku-4-5', stream, max_tokens: 100, messages };
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  return { path, init: { method: 'POST', headers, body: JSON.stringify(body), signal: AbortSignal.timeout(60_000) } };
}

const latencies: number[] = [];
const failures: Record<string, number> = {};

async function call(plan: Plan, n: number): Promise<void> {
  const dialect = n % 2 === 0 ? 'openai' : 'anthropic';
  const { path, init } = requestOf(dialect, plan.tokens[dialect === 'openai' ? 0 : 1], n % 4 < 2);
  const startedAt = performance.now();
  let status = 0;
  try {
    const response = await fetch(`${plan.url}${path}`, init);
    await response.arrayBuffer();
    status = response.status;
  } catch {
    // Counted as status 0.
  }
  latencies.push(performance.now() - startedAt);
  if (status !== 200) failures[status] = (failures[status] ?? 0) + 1;
}

if (import.meta.main) {
  const plan = JSON.parse(process.argv[2] ?? '{}') as Plan;
  const calls: Promise<void>[] = [];
  const endAt = performance.now() + plan.seconds * 1000;
  for (let n = 0; performance.now() < endAt; n += 1) {
    calls.push(call(plan, n));
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  await Promise.all(calls);
  const sorted = latencies.toSorted((a, b) => a - b);
  const quantile = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  const result: Honest = { calls: calls.length, p50Ms: quantile(0.5), p99Ms: quantile(0.99), failures };
  console.log(JSON.stringify(result));
}

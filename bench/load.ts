/**
 * A closed-loop load generator on raw sockets: `node bench/load.ts '{"url":…,"key":…,"connections":…,"seconds":…,"bytes":…,"stream":…}'`
 * prints one JSON line of results. Latencies are of whole answers; `ttft` is to the first byte of content.
 */
import { connect } from 'node:net';

interface Plan {
  readonly url: string;
  readonly key: string;
  readonly connections: number;
  readonly seconds: number;
  /** Size of the request body. */
  readonly bytes: number;
  readonly stream: boolean;
}

const plan = JSON.parse(process.argv[2] ?? '{}') as Plan;
const { hostname, port } = new URL(plan.url);
const text = 'word '.repeat(Math.ceil(plan.bytes / 5)).slice(0, Math.max(0, plan.bytes - 110));
const body = JSON.stringify({
  model: 'gpt-5.4-mini',
  max_completion_tokens: 200,
  stream: plan.stream,
  messages: [{ role: 'user', content: text }],
});
const request = Buffer.from(
  `POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer ${plan.key}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
);
const latencies: number[] = [];
const firsts: number[] = [];
let errors = 0;
const endAt = performance.now() + plan.seconds * 1000;

function run(): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    let pending: Buffer = Buffer.alloc(0);
    let sentAt = 0;
    let first = 0;
    const send = (): void => {
      if (performance.now() >= endAt) {
        socket.destroy();
        resolve();
        return;
      }
      pending = Buffer.alloc(0);
      first = 0;
      sentAt = performance.now();
      socket.write(request);
    };
    socket.on('connect', send);
    socket.on('error', () => {
      errors += 1;
      resolve();
    });
    socket.on('close', () => resolve());
    socket.on('data', (chunk: Buffer) => {
      pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
      const headEnd = pending.indexOf('\r\n\r\n');
      if (headEnd < 0) return;
      if (first === 0 && pending.length > headEnd + 4) first = performance.now();
      const length = /content-length: (\d+)/i.exec(pending.toString('latin1', 0, headEnd));
      const whole =
        length === null ? pending.subarray(-5).toString('latin1') === '0\r\n\r\n' : pending.length >= headEnd + 4 + Number(length[1]);
      if (!whole) return;
      if (!pending.subarray(0, 12).equals(Buffer.from('HTTP/1.1 200'))) errors += 1;
      latencies.push(performance.now() - sentAt);
      firsts.push(first - sentAt);
      send();
    });
  });
}

function quantile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN;
}

const startedAt = performance.now();
await Promise.all(Array.from({ length: plan.connections }, run));
console.log(
  JSON.stringify({
    requests: latencies.length,
    errors,
    perSecond: latencies.length / ((performance.now() - startedAt) / 1000),
    p50Ms: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
    ttft50Ms: quantile(firsts, 0.5),
    ttft99Ms: quantile(firsts, 0.99),
  }),
);

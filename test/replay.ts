import { existsSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';

/** One recorded exchange; the parts that a replay needs. */
export interface Exchange {
  readonly id: string;
  readonly provenance: 'recorded' | 'constructed';
  readonly vendor: string;
  readonly api: string;
  readonly model: string;
  readonly stream: boolean;
  readonly request: { readonly host: string; readonly path: string; readonly body: Readonly<Record<string, unknown>> } | null;
  readonly response: {
    readonly status: number;
    readonly headers: Readonly<Record<string, string>>;
    readonly body?: unknown;
    readonly sse?: readonly SseItem[];
    readonly sse_eol?: string;
  };
  readonly usage: Readonly<Record<string, unknown>> | null;
  readonly usage_start?: Readonly<Record<string, unknown>>;
}

interface SseItem {
  readonly data?: string;
  readonly event?: string;
  readonly fields?: Readonly<Record<string, string>>;
  readonly comment?: string;
  readonly raw?: string;
}

const folder = join(import.meta.dirname, '..', '..', 'shared', 'recordings');

/** The exchanges of these files; null where the recordings are not beside the repository. */
export function readExchanges(files: readonly string[]): readonly Exchange[] | null {
  if (!existsSync(folder)) return null;
  return files.flatMap((file) =>
    readFileSync(join(folder, `${file}.jsonl`), 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Exchange),
  );
}

/** The body as it went over the wire. */
export function wireBody({ response }: Exchange): Buffer {
  if (response.sse === undefined) return Buffer.from(typeof response.body === 'string' ? response.body : JSON.stringify(response.body));
  const eol = response.sse_eol ?? '\n';
  return Buffer.from(response.sse.map((item) => serialise(item, eol)).join(''));
}

function serialise(item: SseItem, eol: string): string {
  if (item.raw !== undefined) return item.raw;
  if (item.comment !== undefined) return `: ${item.comment}${eol}${eol}`;
  const event = item.event === undefined ? '' : `event: ${item.event}${eol}`;
  const fields = Object.entries(item.fields ?? {}).map(([name, value]) => `${name}: ${value}${eol}`);
  const lines = (item.data ?? '').split('\n').map((line) => `data: ${line}${eol}`);
  return `${event}${fields.join('')}${lines.join('')}${eol}`;
}

/** An upstream that answers whatever it is asked with what was set last. */
export interface Replay {
  readonly url: string;
  /** Answers from now on; cut at the given places, or nowhere. */
  serve(exchange: Exchange, chunkBytes: (left: number) => number): void;
  close(): Promise<void>;
}

/** Starts the upstream. */
export async function startReplay(): Promise<Replay> {
  let current: { readonly exchange: Exchange; readonly chunkBytes: (left: number) => number } | undefined;
  const server: Server = createServer((request, response) => {
    request.resume();
    request.on('end', async () => {
      if (current === undefined) return response.writeHead(500).end();
      const { exchange, chunkBytes } = current;
      const type = exchange.response.sse === undefined ? 'application/json' : 'text/event-stream';
      response.writeHead(exchange.response.status, { 'content-type': type, ...exchange.response.headers });
      const bytes = wireBody(exchange);
      for (let at = 0; at < bytes.length; ) {
        const size = Math.max(1, chunkBytes(bytes.length - at));
        response.write(bytes.subarray(at, at + size));
        at += size;
        await turn();
      }
      return response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    serve(exchange, chunkBytes) {
      current = { exchange, chunkBytes };
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

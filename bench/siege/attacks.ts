/** The attacks of a siege, each for as long as it is let: `node bench/siege/attacks.ts NAME '{"url":…,"rich":…,"poor":…}'` runs until SIGTERM. */
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';

/** What attackers hold. */
export interface Spoils {
  readonly url: string;
  /** A key with some dollars. */
  readonly rich: string;
  /** A key with a millionth of a dollar. */
  readonly poor: string;
}

type Attack = (spoils: Spoils) => Promise<void>;

const mib = 1024 * 1024;

/** One call, read to its end or given up; an attacker does not care. */
async function post(
  url: string,
  token: string,
  body: string | Uint8Array<ArrayBuffer>,
  more: { readonly headers?: Record<string, string>; readonly timeoutMs?: number } = {},
): Promise<void> {
  try {
    const response = await fetch(url, {
      ...{ method: 'POST', body, signal: AbortSignal.timeout(more.timeoutMs ?? 60_000) },
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...more.headers },
    });
    await response.arrayBuffer();
  } catch {
    // Refused, reset or too slow.
  }
}

/** Keeps this many of a call going for ever. */
async function flood(parallel: number, once: () => Promise<void>): Promise<void> {
  const worker = async (): Promise<void> => {
    for (;;) {
      await once();
      await pause(1);
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
}

function chat(model: string, content: unknown = 'x', more: object = {}): string {
  return JSON.stringify({ model, max_completion_tokens: 50, messages: [{ role: 'user', content }], ...more });
}

/** A JSON body of about this size that is all containers. */
function containers(bytes: number, container: string): string {
  return `{"model":"gpt-5.4-mini","x":[${`${container},`.repeat(bytes / (container.length + 1))}0]}`;
}

function openSocket(url: string, head: string): Promise<void> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect({ host: hostname, port: Number(port) }, () => socket.write(head));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => resolve());
    socket.resume();
  });
}

/** A body of 31 MiB is announced, and its bytes come one a second. */
async function trickle({ url, rich }: Spoils): Promise<void> {
  const { hostname, port } = new URL(url);
  await new Promise<void>((resolve) => {
    const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${rich}\r\ncontent-type: application/json\r\ncontent-length: ${31 * mib}\r\n\r\n{`;
    const socket = connect({ host: hostname, port: Number(port) }, () => socket.write(head));
    const timer = setInterval(() => socket.write(' '), 1000);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      clearInterval(timer);
      resolve();
    });
    socket.resume();
  });
}

const picture = (bytes: number): object => ({
  type: 'image_url',
  image_url: { url: `data:image/png;base64,${randomBytes((bytes * 3) / 4).toString('base64')}` },
});

export const attacks: Readonly<Record<string, Attack>> = {
  'containers of 8 MiB, no money': async ({ url, poor }) => {
    const body = containers(8 * mib, '[]');
    await flood(4, () => post(`${url}/v1/chat/completions`, poor, body));
  },
  'empty lists of 31 MiB': async ({ url, rich }) => {
    const body = containers(31 * mib, '[]');
    await flood(4, () => post(`${url}/v1/chat/completions`, rich, body));
  },
  'nesting of 8 MiB': async ({ url, rich }) => {
    const body = `{"model":"gpt-5.4-mini","x":${'['.repeat(8 * mib)}`;
    await flood(4, () => post(`${url}/v1/chat/completions`, rich, body));
  },
  'escapes of 31 MiB': async ({ url, rich }) => {
    const body = `{"model":"siege-heavy","max_completion_tokens":50,"messages":[{"role":"user","content":"${'\\u00e9'.repeat((31 * mib) / 6)}"}]}`;
    await flood(4, () => post(`${url}/v1/chat/completions`, rich, body));
  },
  '90,000 long keys': async ({ url, rich }) => {
    const metadata = Object.fromEntries(Array.from({ length: 90_000 }, (_, at) => [`${'k'.repeat(300)}${at}`, at]));
    const body = chat('siege-heavy', 'x', { metadata });
    await flood(4, () => post(`${url}/v1/chat/completions`, rich, body));
  },
  '40 pictures of 4 MiB in flight': async ({ url, rich }) => {
    const body = chat('gpt-5.4', [picture(4 * mib)]);
    await flood(40, () => post(`${url}/v1/chat/completions`, rich, body));
  },
  // More than one key's share of the connections, so that some wait in the line.
  '400 slow calls': async ({ url, rich }) => {
    const body = chat('gpt-5.4');
    await flood(400, () => post(`${url}/v1/chat/completions`, rich, body));
  },
  'missing scopes (401)': async ({ url, rich }) => {
    const body = JSON.stringify({ model: 'text-embedding-3-small', input: 'x' });
    await flood(4, () => post(`${url}/v1/embeddings`, rich, body));
  },
  'a call that can never fit (429)': async ({ url, rich }) => {
    const body = JSON.stringify({ model: 'claude-sonnet-5', max_tokens: 50, messages: [{ role: 'user', content: 'x' }] });
    await flood(4, () => post(`${url}/v1/messages`, rich, body));
  },
  'made-up models': async ({ url, rich }) => {
    await flood(16, () => post(`${url}/v1/chat/completions`, rich, chat(`ft:gpt-5.4-mini:${randomBytes(12).toString('hex')}`)));
  },
  'refusals without end': async ({ url, poor }) => {
    const body = chat('gpt-5.4-mini');
    await flood(64, () => post(`${url}/v1/chat/completions`, poor, body));
  },
  'bodies that trickle': async (spoils) => {
    await flood(200, () => trickle(spoils));
  },
  'connections without a key': async ({ url }) => {
    await flood(3000, () => openSocket(url, 'GET / HTTP/1.1\r\n'));
  },
  'unknown keys with bodies': async ({ url }) => {
    const body = 'x'.repeat(4 * mib);
    await flood(16, () => post(`${url}/v1/chat/completions`, `vk_${randomBytes(24).toString('base64url')}`, body));
  },
  'packed bombs': async ({ url, rich }) => {
    const body = new Uint8Array(gzipSync(Buffer.alloc(512 * mib, ' ')));
    await flood(8, () => post(`${url}/v1/chat/completions`, rich, body, { headers: { 'content-encoding': 'gzip' } }));
  },
  'clients that leave': async ({ url, rich }) => {
    const body = JSON.stringify({ contents: [{ role: 'user', parts: [{ text: 'x' }] }] });
    const path = '/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse';
    await flood(100, () => post(`${url}${path}`, rich, body, { timeoutMs: 300 }));
  },
  'answers of 24 MiB': async ({ url, rich }) => {
    const body = chat('gpt-5.6-luna');
    await flood(8, () => post(`${url}/v1/chat/completions`, rich, body));
  },
};

if (import.meta.main) {
  const [name = '', spoils = '{}'] = process.argv.slice(2);
  process.stdout.write('begun\n');
  await attacks[name]?.(JSON.parse(spoils) as Spoils);
}

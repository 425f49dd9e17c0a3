import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { createSecureContext, rootCertificates, type SecureContext } from 'node:tls';
import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib';
import { type Authority, createAuthority } from './cluster/pki.ts';

/** One request that did not go to KeyForge. */
export interface Stray {
  readonly host: string;
  /** True where its address, a header or its body has the `vk_` key. */
  readonly carriesKey: boolean;
}

const decoders = new Map<string, (body: Buffer) => Buffer>([
  ['gzip', gunzipSync],
  ['deflate', inflateSync],
  ['br', brotliDecompressSync],
  ['zstd', zstdDecompressSync],
]);

/** The rest of the Internet, as a program sees it: every host answers 404 to everything, and is written down. */
export class Elsewhere implements AsyncDisposable {
  /** What makes a program send all but loopback here, and trust the answers. */
  readonly environment: Readonly<Record<string, string>>;
  readonly #token: string;
  readonly #folder: string;
  readonly #servers: readonly Server[];
  #strays: Stray[] = [];

  private constructor(token: string, folder: string, servers: { readonly outside: Server; readonly inside: Server }) {
    const { outside, inside } = servers;
    this.#token = token;
    this.#folder = folder;
    this.#servers = [outside, inside];
    for (const server of this.#servers) {
      server.on('request', (request, response) => void this.#answer(request, response));
      server.on('upgrade', (request, socket) => this.#refuse(request, socket));
    }
    outside.on('connect', (request, socket) => this.#tunnel(request, socket, portOf(inside)));
    const proxy = `http://127.0.0.1:${portOf(outside)}`;
    this.environment = {
      ...each(['HTTPS_PROXY', 'HTTP_PROXY', 'https_proxy', 'http_proxy'], proxy),
      ...each(['NO_PROXY', 'no_proxy'], '127.0.0.1,localhost'),
      ...each(['NODE_EXTRA_CA_CERTS'], join(folder, 'root.pem')),
      ...each(['SSL_CERT_FILE', 'REQUESTS_CA_BUNDLE', 'CODEX_CA_CERTIFICATE'], join(folder, 'roots.pem')),
    };
  }

  /** Starts it. `token` is the key to look for. */
  static async start(token: string): Promise<Elsewhere> {
    const authority = await createAuthority();
    const folder = await mkdtemp(join(tmpdir(), 'keyforge-elsewhere-'));
    await writeFile(join(folder, 'root.pem'), authority.certificate);
    await writeFile(join(folder, 'roots.pem'), [authority.certificate, ...rootCertificates].join('\n'));
    const contextOf = contextsOf(authority);
    const inside = createTlsServer({ SNICallback: (host, done) => contextOf(host).then((context) => done(null, context), done) });
    const outside = createServer();
    for (const server of [inside, outside]) {
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
    }
    return new Elsewhere(token, folder, { outside, inside });
  }

  /** Requests since the last time, and a mention of each host for each connection, as its TLS may have failed. */
  news(): readonly Stray[] {
    const found = this.#strays;
    this.#strays = [];
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) {
      server.close();
      server.closeAllConnections();
    }
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await buffer(request).catch(() => undefined);
    if (body === undefined) return void response.destroy();
    this.#note(request, decoded(body, request.headers['content-encoding']));
    response.writeHead(404, { 'content-type': 'application/json' }).end('{}');
  }

  #refuse(request: IncomingMessage, socket: Duplex): void {
    this.#note(request, '');
    socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
  }

  #tunnel(request: IncomingMessage, socket: Duplex, port: number): void {
    this.#strays.push({ host: withoutPort(request.url), carriesKey: false });
    const tunnel = connect(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      tunnel.pipe(socket).pipe(tunnel);
    });
    tunnel.on('error', () => socket.destroy());
    socket.on('error', () => tunnel.destroy());
  }

  #note(request: IncomingMessage, body: string): void {
    const sent = `${request.url} ${request.rawHeaders.join(' ')} ${body}`;
    this.#strays.push({ host: withoutPort(request.headers.host), carriesKey: sent.includes(this.#token) });
  }
}

function each(names: readonly string[], value: string): Readonly<Record<string, string>> {
  return Object.fromEntries(names.map((name) => [name, value]));
}

/** Certificates of any host, made when it is first asked for. */
function contextsOf(authority: Authority): (host: string) => Promise<SecureContext> {
  const made = new Map<string, Promise<SecureContext>>();
  return (host) => {
    const context =
      made.get(host) ?? authority.issueServer(host, [host]).then(({ certificate, key }) => createSecureContext({ cert: certificate, key }));
    made.set(host, context);
    return context;
  };
}

/** Latin-1 of a body, decoded as far as its coding is known. */
function decoded(body: Buffer, coding: string | undefined): string {
  const decode = decoders.get(coding ?? '');
  try {
    return (decode === undefined ? body : decode(body)).toString('latin1');
  } catch {
    return body.toString('latin1');
  }
}

function withoutPort(authority: string | undefined): string {
  return (authority ?? '').replace(/:\d+$/, '');
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

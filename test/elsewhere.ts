import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSecureContext, rootCertificates, type SecureContext } from 'node:tls';
import { createAuthority } from './cluster/pki.ts';

/** One request of an agent that did not go to KeyForge. */
export interface Stray {
  readonly host: string;
  /** True where its address, a header or its body has the `vk_` key. */
  readonly carriesKey: boolean;
}

/** The rest of the Internet, as an agent sees it: every host answers 404 to everything, and is written down. */
export interface Elsewhere extends AsyncDisposable {
  /** What makes an agent send all but loopback here, and trust the answers. */
  readonly environment: Readonly<Record<string, string>>;
  /** Requests since the last time; hosts whose TLS failed are there too. */
  news(): readonly Stray[];
}

/** Starts it. `token` is the key to look for. */
export async function startElsewhere(token: string): Promise<Elsewhere> {
  const authority = await createAuthority();
  const folder = await mkdtemp(join(tmpdir(), 'keyforge-elsewhere-'));
  const [only, all] = [join(folder, 'root.pem'), join(folder, 'roots.pem')];
  await writeFile(only, authority.certificate);
  await writeFile(all, [authority.certificate, ...rootCertificates].join('\n'));
  const contexts = new Map<string, Promise<SecureContext>>();
  const contextOf = (host: string): Promise<SecureContext> => {
    const issued =
      contexts.get(host) ??
      authority.issueServer(host, [host]).then(({ certificate, key }) => createSecureContext({ cert: certificate, key }));
    contexts.set(host, issued);
    return issued;
  };
  let strays: Stray[] = [];
  const note = async (request: IncomingMessage): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const sent = `${request.url} ${request.rawHeaders.join(' ')} ${Buffer.concat(chunks).toString('latin1')}`;
    strays.push({ host: hostOf(request), carriesKey: sent.includes(token) });
  };
  const inside = createTlsServer({
    SNICallback: (host, done) => contextOf(host).then((context) => done(null, context), done),
  });
  const outside = createServer();
  for (const server of [inside, outside]) {
    server.on('request', (request, response) => {
      note(request).then(
        () => response.writeHead(404, { 'content-type': 'application/json' }).end('{}'),
        () => response.destroy(),
      );
    });
    server.on('upgrade', (request, socket) => {
      strays.push({ host: hostOf(request), carriesKey: request.rawHeaders.join(' ').includes(token) });
      socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
    });
  }
  const insidePort = await portOf(inside);
  outside.on('connect', (request, socket) => {
    strays.push({ host: (request.url ?? '').replace(/:\d+$/, ''), carriesKey: false });
    const tunnel = connect(insidePort, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      tunnel.pipe(socket).pipe(tunnel);
    });
    tunnel.on('error', () => socket.destroy());
    socket.on('error', () => tunnel.destroy());
  });
  const proxy = `http://127.0.0.1:${await portOf(outside)}`;
  const close = async (): Promise<void> => {
    for (const server of [outside, inside]) {
      server.close();
      server.closeAllConnections();
    }
    await rm(folder, { recursive: true, force: true });
  };
  return {
    environment: {
      ...Object.fromEntries(['HTTPS_PROXY', 'HTTP_PROXY', 'https_proxy', 'http_proxy'].map((name) => [name, proxy])),
      ...Object.fromEntries(['NO_PROXY', 'no_proxy'].map((name) => [name, '127.0.0.1,localhost'])),
      NODE_EXTRA_CA_CERTS: only,
      ...Object.fromEntries(['SSL_CERT_FILE', 'REQUESTS_CA_BUNDLE', 'CODEX_CA_CERTIFICATE'].map((name) => [name, all])),
    },
    news() {
      const found = strays;
      strays = [];
      return found;
    },
    [Symbol.asyncDispose]: close,
  };
}

function hostOf({ headers }: IncomingMessage): string {
  return (headers.host ?? '').replace(/:\d+$/, '');
}

async function portOf(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

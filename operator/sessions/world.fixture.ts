import type { KeyName } from '../../core/names.ts';
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import * as x509 from '@peculiar/x509';
import { type Logger, pino } from 'pino';
import type { Attestor } from './attest.ts';
import type { AttestedScope, Refused } from './scope.ts';
import type { ControlHost } from './session.ts';
import { type Drift, type Sessions, type SessionsOptions, serveSessions } from './sessions.ts';

/** For tests: a root, and a certificate that it issued for 127.0.0.1, PEM. */
export interface TestCertificates {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

/** Makes both, in milliseconds. */
export async function makeCertificates(): Promise<TestCertificates> {
  const pair = (): Promise<webcrypto.CryptoKeyPair> => webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const [root, leaf] = await Promise.all([pair(), pair()]);
  const notAfter = new Date(Date.now() + 3_600_000);
  const authority = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=test root',
    keys: root,
    notAfter,
    signingAlgorithm: algorithm,
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
  });
  const server = await x509.X509CertificateGenerator.create({
    subject: 'CN=operator',
    issuer: authority.subject,
    publicKey: leaf.publicKey,
    signingKey: root.privateKey,
    notAfter,
    signingAlgorithm: algorithm,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'ip', value: '127.0.0.1' }])],
  });
  const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', leaf.privateKey)).toString('base64');
  return {
    ca: authority.toString('pem'),
    cert: server.toString('pem'),
    key: `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`,
  };
}

/** Short enough for tests, in the right order. */
export const quick = {
  helloMs: 20_000,
  beatMs: 50,
  silenceMs: 20_000,
  renewMs: 60_000,
  attestMs: 60_000,
  firstRetryMs: 10,
  longestRetryMs: 60,
};

/** For tests: one replica of an operator on a loopback port. */
export interface Replica {
  readonly url: string;
  readonly sessions: Sessions;
  /** The events in order, as words. */
  readonly log: string[];
  readonly drifts: Drift[];
  /** Drops connections without closing them, as a crash does; then the port is free. */
  crash(): Promise<void>;
  close(): Promise<void>;
}

export interface ReplicaPlan extends Pick<SessionsOptions, 'host' | 'timings' | 'bounds'> {
  readonly attestor: Attestor;
  readonly certificates: TestCertificates;
  readonly port?: number;
  readonly logger?: Logger;
}

export const silent: Logger = pino({ level: 'silent' });

/** Listens. */
export async function startReplica(plan: ReplicaPlan): Promise<Replica> {
  const { certificates, host, attestor, bounds = {} } = plan;
  const server = createServer({ cert: certificates.cert, key: certificates.key });
  const log: string[] = [];
  const drifts: Drift[] = [];
  const sessions = serveSessions({
    server,
    path: '/control',
    attestor,
    host,
    logger: plan.logger ?? silent,
    monotonic: () => performance.now(),
    timings: { ...quick, ...plan.timings },
    bounds,
    events: {
      opened: ({ instance }) => log.push(`opened ${instance}`),
      closed: (cause) => log.push(`closed ${cause}`),
      refused: (refusal) => log.push(`refused ${refusal}`),
      drifted: (drift) => drifts.push(drift),
    },
  });
  const cut = cutter(server);
  server.listen(plan.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  async function end(): Promise<void> {
    server.close();
    cut();
    if (server.listening) await once(server, 'close');
  }
  return {
    url: `wss://127.0.0.1:${port}/control`,
    sessions,
    log,
    drifts,
    crash: end,
    async close() {
      await sessions.close();
      await end();
    },
  };
}

/** Makes a function that cuts all sockets: a server does not close upgraded ones, or those in a handshake. */
function cutter(server: Server): () => void {
  const sockets = new Set<{ destroy(): unknown }>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  return () => {
    for (const socket of sockets) socket.destroy();
  };
}

/** The scope of a sidecar in a Pod of this uid. */
export function sidecar(instance: string, key = 'agents/bot'): AttestedScope {
  return { kind: 'sidecar', instance, key: key as KeyName, run: { podUid: instance, podName: 'agent-1' }, podCreatedAtMs: 0 };
}

/** Makes an attestor with these outcomes by token; it refuses other tokens. */
export function scripted(outcomes: ReadonlyMap<string, AttestedScope | Refused>): Attestor {
  const unknown: Refused = { refusal: 'token_invalid', retry: false, message: 'unknown token' };
  return {
    attest: async (token) => outcomes.get(token) ?? unknown,
    judge: () => [...outcomes.values()][0] ?? unknown,
  };
}

/** A host whose sessions all see the same port. */
export function hostOf(control: ReturnType<ControlHost['session']>): ControlHost & { readonly retired: string[] } {
  const retired: string[] = [];
  return { session: () => control, retire: (instance) => void retired.push(instance), retired };
}

/** Resolves when `holds` returns true; rejects after twenty seconds. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  const end = performance.now() + 20_000;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

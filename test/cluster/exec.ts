import { WebSocket } from 'ws';
import type { KeyPair } from './pki.ts';

/** How a command in a container ended. */
export interface ExecResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Who asks, and whom. */
export interface ExecTarget {
  readonly url: string;
  readonly caPem: string;
  readonly identity: KeyPair;
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
}

const stdoutChannel = 1;
const stderrChannel = 2;
const statusChannel = 3;

/** Runs a command in a container, by the WebSocket protocol `v5.channel.k8s.io`; rejects where the API server refuses. */
export function execInPod(target: ExecTarget, command: readonly string[]): Promise<ExecResult> {
  const query = new URLSearchParams({ container: target.container, stdout: 'true', stderr: 'true' });
  for (const word of command) query.append('command', word);
  const path = `/api/v1/namespaces/${target.namespace}/pods/${target.pod}/exec?${query}`;
  const { certificate: cert, key } = target.identity;
  const socket = new WebSocket(`${target.url.replace('https', 'wss')}${path}`, ['v5.channel.k8s.io'], { ca: target.caPem, cert, key });
  const output = new Map<number, string>();
  socket.on('message', (data: Buffer) => {
    const channel = data[0] ?? 0;
    output.set(channel, `${output.get(channel) ?? ''}${data.toString('utf8', 1)}`);
  });
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('unexpected-response', (_request, response) => {
      response.setEncoding('utf8').once('data', (body: string) => {
        // The connection is ours to end: it would keep this process alive when the API server is long gone.
        response.socket.destroy();
        reject(new Error(`exec: ${response.statusCode} ${body}`));
      });
    });
    socket.once('close', () => {
      const { status, message, details } = JSON.parse(output.get(statusChannel) ?? '{"status":"Failure","message":"no status came"}');
      const causes = (details?.causes ?? []) as readonly { reason: string; message: string }[];
      const code = status === 'Success' ? 0 : Number(causes.find((cause) => cause.reason === 'ExitCode')?.message);
      if (Number.isNaN(code)) reject(new Error(`exec: ${message}`));
      else resolve({ code, stdout: output.get(stdoutChannel) ?? '', stderr: output.get(stderrChannel) ?? '' });
    });
  });
}

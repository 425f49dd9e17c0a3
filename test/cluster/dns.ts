import { createSocket } from 'node:dgram';
import type { ApiClient } from './api-client.ts';

/** Answers for Services as a cluster's DNS does. */
export interface DnsServer {
  close(): Promise<void>;
}

const headerBytes = 12;
const notFound = 3;

/** Serves `NAME.NAMESPACE.svc.cluster.local` on port 53 of the address; everything else does not exist. */
export async function startDns(address: string, client: ApiClient): Promise<DnsServer> {
  const socket = createSocket('udp4');
  // What was once found is kept, for the time in which the API server is down.
  const known = new Map<string, string>();
  socket.on('message', async (query, from) => {
    const question = readQuestion(query);
    if (question === null) return;
    const found = await resolve(client, question.name).catch(() => known.get(question.name));
    if (found !== undefined) known.set(question.name, found);
    socket.send(answer(query.subarray(0, question.end), found, question.type === 1), from.port, from.address, () => undefined);
  });
  await new Promise<void>((done, fail) => socket.once('error', fail).bind(53, address, () => done()));
  return { close: () => new Promise((done) => socket.close(() => done())) };
}

/** A ClusterIP, the first endpoint of a headless Service, or undefined. Rejects where the API server is away. */
async function resolve(client: ApiClient, name: string): Promise<string | undefined> {
  const [, service, namespace] = /^([^.]+)\.([^.]+)\.svc\.cluster\.local$/.exec(name) ?? [];
  if (service === undefined) return undefined;
  const { status, body } = await client.request('GET', `/api/v1/namespaces/${namespace}/services/${service}`);
  if (status !== 200) return undefined;
  if (body.spec.clusterIP !== 'None') return body.spec.clusterIP;
  const selector = encodeURIComponent(`kubernetes.io/service-name=${service}`);
  const slices = await client.request('GET', `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices?labelSelector=${selector}`);
  return slices.body.items?.[0]?.endpoints?.[0]?.addresses?.[0];
}

function readQuestion(query: Buffer): { readonly name: string; readonly type: number; readonly end: number } | null {
  const labels: string[] = [];
  let at = headerBytes;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length).toLowerCase());
    at += 1 + length;
  }
  return query.length < at + 5 ? null : { name: labels.join('.'), type: query.readUInt16BE(at + 1), end: at + 5 };
}

/** RFC 1035 section 4: the question again and at most one A record, valid for a second. */
function answer(question: Buffer, address: string | undefined, wantsAddress: boolean): Buffer {
  const header = Buffer.from(question);
  const records = address !== undefined && wantsAddress ? 1 : 0;
  header.writeUInt16BE(0x8580 | (address === undefined ? notFound : 0), 2);
  for (const [offset, count] of [1, records, 0, 0].entries()) header.writeUInt16BE(count, 4 + 2 * offset);
  if (records === 0) return header;
  return Buffer.concat([header, Buffer.from([0xc0, headerBytes, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, ...(address ?? '').split('.').map(Number)])]);
}

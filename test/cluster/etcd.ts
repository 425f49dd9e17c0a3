import { request } from 'undici';

/** Drops all history up to now, by etcd's own JSON gateway. */
export async function compact(etcdUrl: string): Promise<void> {
  const call = async (path: string, body: object): Promise<{ readonly header?: { readonly revision?: string } }> => {
    const answer = await request(`${etcdUrl}/v3/kv/${path}`, { method: 'POST', body: JSON.stringify(body) });
    const text = await answer.body.text();
    if (answer.statusCode !== 200) throw new Error(`etcd ${path}: ${answer.statusCode} ${text}`);
    return JSON.parse(text);
  };
  const { header } = await call('range', { key: Buffer.from('/').toString('base64'), keys_only: true, limit: '1' });
  await call('compaction', { revision: header?.revision ?? '0', physical: true });
}

/** Whether an HTTP server answers 200 there. */
export async function isHealthy(url: string): Promise<boolean> {
  try {
    const answer = await request(url, { headersTimeout: 1000 });
    await answer.body.dump();
    return answer.statusCode === 200;
  } catch {
    return false;
  }
}

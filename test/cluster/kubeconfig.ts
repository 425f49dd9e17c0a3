import type { KeyPair } from './pki.ts';

/** A kubeconfig with everything inline; JSON, hence YAML too. */
export function kubeconfig(url: string, caPem: string, identity: KeyPair): string {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    clusters: [{ name: 'test', cluster: { server: url, 'certificate-authority-data': base64(caPem) } }],
    users: [{ name: 'test', user: { 'client-certificate-data': base64(identity.certificate), 'client-key-data': base64(identity.key) } }],
  });
}

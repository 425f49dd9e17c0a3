import dns from 'node:dns';

/**
 * Makes this process find Services as a Pod does: `NAME.NAMESPACE.svc` is on this machine. The name stays what TLS checks.
 * Returns how to stop.
 */
export function findServicesHere(): () => void {
  const { lookup } = dns;
  dns.lookup = ((host: string, ...rest: [dns.LookupOptions, () => void]) =>
    lookup(host.endsWith('.svc') ? '127.0.0.1' : host, ...rest)) as typeof lookup;
  return () => {
    dns.lookup = lookup;
  };
}

import { leases } from './resources.ts';
import type { KubeObject } from './types.ts';

/** The spec of a Lease: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/lease-v1/ */
interface LeaseSpec {
  /** '' or absent: nobody holds it. */
  readonly holderIdentity?: string;
  readonly leaseDurationSeconds?: number;
  readonly acquireTime?: string;
  readonly renewTime?: string;
  readonly leaseTransitions?: number;
}

/** The spec of a Lease; empty if it has none. */
export function specOf(lease: KubeObject): LeaseSpec {
  return (lease['spec'] ?? {}) as LeaseSpec;
}

/** Makes the Lease with which `identity` leads, from the current one if there is one. */
export function claim(
  place: { readonly namespace: string; readonly name: string },
  current: KubeObject | null,
  claimed: Claim,
): KubeObject {
  const { identity, leaseMs, nowMs } = claimed;
  const old = current === null ? {} : specOf(current);
  const keeps = old.holderIdentity === identity;
  const spec: LeaseSpec = {
    holderIdentity: identity,
    leaseDurationSeconds: Math.ceil(leaseMs / 1_000),
    acquireTime: (keeps ? old.acquireTime : undefined) ?? microTime(nowMs),
    renewTime: microTime(nowMs),
    leaseTransitions: (old.leaseTransitions ?? 0) + (keeps || current === null ? 0 : 1),
  };
  return withSpec(place, current, spec);
}

/** Makes the released Lease, so that the next candidate need not wait until it expires. */
export function released(current: KubeObject, nowMs: number): KubeObject {
  const { name, namespace = '' } = current.metadata;
  return withSpec({ namespace, name }, current, {
    ...specOf(current),
    holderIdentity: '',
    leaseDurationSeconds: 1,
    renewTime: microTime(nowMs),
  });
}

/** Formats metav1.MicroTime: the API server rejects it without its six digits. */
export function microTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z');
}

function withSpec(place: { readonly namespace: string; readonly name: string }, current: KubeObject | null, spec: LeaseSpec): KubeObject {
  const apiVersion = `${leases.group}/${leases.version}`;
  return { ...current, apiVersion, kind: leases.kind, metadata: current?.metadata ?? place, spec };
}

interface Claim {
  readonly identity: string;
  readonly leaseMs: number;
  /** Wall clock. */
  readonly nowMs: number;
}

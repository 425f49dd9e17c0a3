import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Flags } from './flags.ts';

/** What the API server wrote down of one call. */
export interface ApiCall {
  readonly verb: string;
  readonly user: { readonly username: string };
  readonly objectRef?: {
    readonly resource: string;
    readonly subresource?: string;
    readonly apiGroup?: string;
    readonly namespace?: string;
    readonly name?: string;
  };
  readonly responseStatus?: { readonly code: number; readonly message?: string };
}

/** The API server's own record of what some users asked for. */
export interface AuditLog {
  /** For `startControlPlane`. */
  readonly apiserverFlags: Flags;
  /** All so far; a watch is told when it begins and when it ends. */
  calls(): readonly ApiCall[];
  /** What changed an object; not what a candidate does with its Lease, nor questions that are asked by creating. */
  writes(): readonly ApiCall[];
}

/** Keeps it in a folder that exists. */
export function auditLogOf(folder: string, users: readonly string[]): AuditLog {
  const [policy, log] = [join(folder, 'audit-policy.json'), join(folder, 'audit.log')];
  const rules = [{ level: 'Metadata', users }];
  writeFileSync(policy, JSON.stringify({ apiVersion: 'audit.k8s.io/v1', kind: 'Policy', rules, omitStages: ['RequestReceived'] }));
  writeFileSync(log, '');
  const calls = (): readonly ApiCall[] =>
    readFileSync(log, 'utf8')
      .split('\n')
      // What follows the last line's end is nothing, or a line that is being written.
      .slice(0, -1)
      .map((line) => JSON.parse(line) as ApiCall);
  return {
    apiserverFlags: { 'audit-policy-file': policy, 'audit-log-path': log },
    calls,
    writes: () => calls().filter((call) => writing.includes(call.verb) && !asked.includes(call.objectRef?.resource ?? '')),
  };
}

const writing = ['create', 'update', 'patch', 'delete'];
const asked = ['leases', 'tokenreviews'];

import { hash } from 'node:crypto';
import type { VirtualKeySpec } from '../../core/manifest/types.ts';
import { childKeyName, type KeyName } from '../../core/names.ts';
import type { RunScope } from '../sessions/scope.ts';

type RunSpec = NonNullable<VirtualKeySpec['run']>;

/** The Pod or Job that a run is of, as its spec says: the Job where one owns the Pod, else the Pod. */
export function ownerOf(
  { scope }: RunSpec,
  { podUid, podName, jobUid, jobName }: RunScope,
): { readonly uid: string; readonly name: string } {
  const isJob = scope !== 'Pod' && jobUid !== undefined;
  return isJob ? { uid: jobUid, name: `Job ${jobName ?? jobUid}` } : { uid: podUid, name: `Pod ${podName}` };
}

/** The name, below its parent, of the run of a Pod or Job. */
export function runIdOf(uid: string): string {
  return `run-${hash('sha256', uid).slice(0, 16)}`;
}

/** True for a name that only a run may have: a sub-agent key of that name would pass for the run, without its cap. */
export function isRunName(name: string): boolean {
  return /^run-[0-9a-f]{16}$/.test(name);
}

/** The name of a run's key: the same for every proxy of one run, and after a restart, so that its account continues. */
export function runKey(key: KeyName, spec: RunSpec, run: RunScope): KeyName {
  return childKeyName(key, runIdOf(ownerOf(spec, run).uid));
}

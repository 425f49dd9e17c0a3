import type { OwnerReference } from '../kube/types.ts';
import { inject, namedKey, optedIn } from './inject.ts';
import { isRecord, type JsonRecord, list, record } from './json.ts';
import { because } from './reasons.ts';
import type { FindKey, InjectedKey, Injection, Pod, RenderSettings } from './types.ts';

/** What the webhook needs to answer. */
export interface ReviewDeps {
  /** To be bounded well under the webhook's timeout; its rejection refuses the Pod for now. */
  readonly findKey: FindKey;
  /** Asked for each review. */
  readonly settings: () => RenderSettings;
  /** The API server's version. */
  readonly kubernetes: { readonly minor: number };
  /**
   * Told of each answer but those of dry runs. `podName` ends in `*` where the API server has yet to complete it. `owner` is what makes the
   * Pod, as the sender says it; null where nothing does, or where the Pod names no VirtualKey that is there.
   */
  readonly onOutcome: (namespace: string, podName: string, injection: Injection, owner: OwnerReference | null) => void;
}

/** To be sent as JSON: an AdmissionReview (admission.k8s.io/v1), or 400 with a message where the body was none. */
export interface ReviewAnswer {
  readonly status: 200 | 400;
  readonly body: JsonRecord;
}

const oldestMinor = 29;
/** The API server asks for short ones, and drops what exceeds 4096 in all. */
const mostWarnings = 30;
const longestWarning = 120;
/** Not every sender is the API server: what it could not have let through must not fill the log. */
const longestName = 253;

/** Answers one AdmissionReview: pods at CREATE get their proxy or a reason why not, all else is let through. */
export async function reviewAdmission(body: unknown, deps: ReviewDeps): Promise<ReviewAnswer> {
  const request =
    isRecord(body) && body['kind'] === 'AdmissionReview' && body['apiVersion'] === 'admission.k8s.io/v1' ? record(body['request']) : {};
  const uid = request['uid'];
  if (typeof uid !== 'string' || uid === '') return malformed('the body is no AdmissionReview of admission.k8s.io/v1 with a request');
  const resource = record(request['resource']);
  const isPod = resource['group'] === '' && resource['resource'] === 'pods' && !request['subResource'];
  if (!isPod || request['operation'] !== 'CREATE')
    return answer(uid, { kind: 'skip', ...because('NotAPodCreation', 'only new Pods are changed') });

  const pod = asPod(request['object']);
  const namespace = request['namespace'];
  if (pod === null || typeof namespace !== 'string' || !/^[-a-z0-9]{1,63}$/.test(namespace))
    return malformed('the request holds no Pod or no namespace');
  const { injection, key } = await decide(pod, namespace, deps);
  const owner = key === null ? null : controllerOf(pod);
  if (request['dryRun'] !== true) deps.onOutcome(namespace, podName(pod, request['name']), injection, owner);
  return answer(uid, injection);
}

interface Decision {
  readonly injection: Injection;
  readonly key: InjectedKey | null;
}

async function decide(pod: Pod, namespace: string, deps: ReviewDeps): Promise<Decision> {
  if (optedIn(pod) && deps.kubernetes.minor < oldestMinor) {
    const message = `native sidecars need Kubernetes 1.${oldestMinor}, this is 1.${deps.kubernetes.minor}; upgrade the cluster`;
    return { injection: { kind: 'refuse', ...because('KubernetesTooOld', message) }, key: null };
  }
  const name = optedIn(pod) ? namedKey(pod) : null;
  let key: InjectedKey | null = null;
  try {
    if (name !== null) key = await deps.findKey(namespace, name);
  } catch {
    // The cause stays in the operator's log: whoever creates the Pod can only wait.
    const told = because('VirtualKeyUnreadable', `VirtualKey ${namespace}/${name} could not be looked up; try again`);
    return { injection: { kind: 'refuse', ...told }, key: null };
  }
  return { injection: inject(pod, namespace, key, deps.settings()), key };
}

function asPod(object: unknown): Pod | null {
  if (!isRecord(object) || !isRecord(object['spec'])) return null;
  // A Pod made from a template has no name yet, and may have no metadata at all.
  return { ...object, metadata: { name: '', ...record(object['metadata']) } };
}

/** What could be no reference of the API server's is none. */
function controllerOf(pod: Pod): OwnerReference | null {
  const { apiVersion, kind, name, uid } = record(list(pod.metadata.ownerReferences).find((owner) => record(owner)['controller'] === true));
  const isOne = (value: unknown, form: RegExp): value is string =>
    typeof value === 'string' && value.length <= longestName && form.test(value);
  if (!isOne(apiVersion, /^[a-z0-9.-]+(\/[a-z0-9]+)?$/) || !isOne(kind, /^[A-Za-z0-9]+$/)) return null;
  return isOne(name, /^[a-z0-9.-]+$/) && isOne(uid, /^[A-Za-z0-9-]+$/) ? { apiVersion, kind, name, uid } : null;
}

function podName(pod: Pod, requested: unknown): string {
  const { name, generateName } = pod.metadata as JsonRecord;
  const known = [requested, name].find((each) => typeof each === 'string' && each !== '');
  return String(known ?? `${typeof generateName === 'string' ? generateName : ''}*`).slice(0, longestName);
}

function answer(uid: string, injection: Injection): ReviewAnswer {
  return { status: 200, body: { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: { uid, ...verdict(injection) } } };
}

function verdict(injection: Injection): JsonRecord {
  switch (injection.kind) {
    case 'skip':
      return { allowed: true };
    case 'refuse': {
      const isTransient = injection.reason === 'VirtualKeyUnreadable';
      const status = isTransient ? { code: 503, reason: 'ServiceUnavailable' } : { code: 403, reason: 'Forbidden' };
      return { allowed: false, status: { ...status, message: `${injection.reason}: ${injection.message}` } };
    }
    case 'patch': {
      const patch = Buffer.from(JSON.stringify(injection.patch)).toString('base64');
      const warnings = injection.warnings.slice(0, mostWarnings).map(({ reason, message }) => shortened(`${reason}: ${message}`));
      return { allowed: true, patchType: 'JSONPatch', patch, ...(warnings.length > 0 && { warnings }) };
    }
  }
}

function shortened(text: string): string {
  return text.length <= longestWarning ? text : `${text.slice(0, longestWarning - 1)}…`;
}

function malformed(message: string): ReviewAnswer {
  return { status: 400, body: { message } };
}

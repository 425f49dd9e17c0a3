import { isObject, type JsonObject } from '../../core/json.ts';
import type { OwnerReference } from '../kube/types.ts';
import { inject } from './inject.ts';
import { list, record } from './json.ts';
import { type PodView, viewOf } from './pod-view.ts';
import { because } from './reasons.ts';
import type { FindKey, InjectedKey, Injection, Pod, RenderSettings } from './types.ts';

/** What the webhook needs to answer. */
export interface ReviewDeps {
  /** It must settle well within the webhook's timeout. If it rejects, the Pod is refused with advice to retry. */
  readonly findKey: FindKey;
  /** Read for each review. */
  readonly settings: () => RenderSettings;
  /** The API server's version. */
  readonly kubernetes: { readonly minor: number };
  /**
   * Called with each answer except those of dry runs. `podName` ends in `*` if the API server has not completed it yet. `owner`: the
   * Pod's controller according to the sender; null if there is none, or if the Pod names no existing VirtualKey.
   */
  readonly onOutcome: (namespace: string, podName: string, injection: Injection, owner: OwnerReference | null) => void;
}

/** A JSON answer: an AdmissionReview (admission.k8s.io/v1), or 400 with a message if the body was not a review. */
export interface ReviewAnswer {
  readonly status: 200 | 400;
  readonly body: JsonObject;
}

const minMinor = 29;
/** The API server wants short warnings, and drops what exceeds 4096 characters in total. */
const maxWarnings = 30;
const maxWarningLength = 120;
/** Any Pod can send a review: a name that the API server would reject must not fill the log. */
const maxNameLength = 253;

/** Answers one AdmissionReview. A Pod at CREATE gets its proxy or a reason; everything else is allowed. */
export async function reviewAdmission(body: unknown, deps: ReviewDeps): Promise<ReviewAnswer> {
  const request =
    isObject(body) && body['kind'] === 'AdmissionReview' && body['apiVersion'] === 'admission.k8s.io/v1' ? record(body['request']) : {};
  const uid = request['uid'];
  if (typeof uid !== 'string' || uid === '') return malformed('the body is not an AdmissionReview of admission.k8s.io/v1 with a request');
  const resource = record(request['resource']);
  const isPod = resource['group'] === '' && resource['resource'] === 'pods' && !request['subResource'];
  if (!isPod || request['operation'] !== 'CREATE') return answer(uid, { kind: 'skip', ...because('NotAPodCreation') });

  const pod = asPod(request['object']);
  const namespace = request['namespace'];
  if (pod === null || typeof namespace !== 'string' || !/^[-a-z0-9]{1,63}$/.test(namespace))
    return malformed('the request has no Pod or no namespace');
  const { injection, key } = await decide(viewOf(pod), namespace, deps);
  const owner = key === null ? null : controllerOf(pod);
  if (request['dryRun'] !== true) deps.onOutcome(namespace, podName(pod, request['name']), injection, owner);
  return answer(uid, injection);
}

interface Decision {
  readonly injection: Injection;
  readonly key: InjectedKey | null;
}

async function decide(pod: PodView, namespace: string, deps: ReviewDeps): Promise<Decision> {
  if (pod.isOptedIn && deps.kubernetes.minor < minMinor) {
    const message = `native sidecars need Kubernetes 1.${minMinor}, this is 1.${deps.kubernetes.minor}; upgrade the cluster`;
    return { injection: { kind: 'refuse', ...because('KubernetesTooOld', message) }, key: null };
  }
  const name = pod.isOptedIn ? pod.virtualKey : null;
  let key: InjectedKey | null = null;
  try {
    if (name !== null) key = await deps.findKey(namespace, name);
  } catch {
    // The cause is only in the operator's log: the Pod's creator can only wait.
    const unreadable = because('VirtualKeyUnreadable', `the operator cannot look up VirtualKey ${namespace}/${name} now; try again`);
    return { injection: { kind: 'refuse', ...unreadable }, key: null };
  }
  return { injection: inject(pod, namespace, key, deps.settings()), key };
}

function asPod(object: unknown): Pod | null {
  if (!isObject(object) || !isObject(object['spec'])) return null;
  // A Pod from a template has no name yet, and may have no metadata.
  return { ...object, metadata: { name: '', ...record(object['metadata']) } };
}

/** The Pod's controller; null if there is none, or if a field cannot be from the API server. */
function controllerOf(pod: Pod): OwnerReference | null {
  const { apiVersion, kind, name, uid } = record(list(pod.metadata.ownerReferences).find((owner) => record(owner)['controller'] === true));
  const isOne = (value: unknown, form: RegExp): value is string =>
    typeof value === 'string' && value.length <= maxNameLength && form.test(value);
  if (!isOne(apiVersion, /^[a-z0-9.-]+(\/[a-z0-9]+)?$/) || !isOne(kind, /^[A-Za-z0-9]+$/)) return null;
  return isOne(name, /^[a-z0-9.-]+$/) && isOne(uid, /^[A-Za-z0-9-]+$/) ? { apiVersion, kind, name, uid } : null;
}

function podName(pod: Pod, requested: unknown): string {
  const { name, generateName } = pod.metadata as JsonObject;
  const known = [requested, name].find((each) => typeof each === 'string' && each !== '');
  return String(known ?? `${typeof generateName === 'string' ? generateName : ''}*`).slice(0, maxNameLength);
}

function answer(uid: string, injection: Injection): ReviewAnswer {
  return { status: 200, body: { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: { uid, ...verdict(injection) } } };
}

function verdict(injection: Injection): JsonObject {
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
      const warnings = injection.warnings.slice(0, maxWarnings).map(({ reason, message }) => shortened(`${reason}: ${message}`));
      return { allowed: true, patchType: 'JSONPatch', patch, ...(warnings.length > 0 && { warnings }) };
    }
  }
}

function shortened(text: string): string {
  return text.length <= maxWarningLength ? text : `${text.slice(0, maxWarningLength - 1)}…`;
}

function malformed(message: string): ReviewAnswer {
  return { status: 400, body: { message } };
}

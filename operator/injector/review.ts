import { inject, namedKey, optedIn } from './inject.ts';
import { isRecord, type JsonRecord, record } from './json.ts';
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
  /** Told of each answer but those of dry runs. `podName` ends in `*` where the API server has yet to complete it. */
  readonly onOutcome: (namespace: string, podName: string, injection: Injection) => void;
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
  const injection = await decide(pod, namespace, deps);
  if (request['dryRun'] !== true) deps.onOutcome(namespace, podName(pod, request['name']), injection);
  return answer(uid, injection);
}

async function decide(pod: Pod, namespace: string, deps: ReviewDeps): Promise<Injection> {
  if (optedIn(pod) && deps.kubernetes.minor < oldestMinor) {
    const message = `native sidecars need Kubernetes 1.${oldestMinor}, this is 1.${deps.kubernetes.minor}; upgrade the cluster`;
    return { kind: 'refuse', ...because('KubernetesTooOld', message) };
  }
  const name = optedIn(pod) ? namedKey(pod) : null;
  let key: InjectedKey | null = null;
  try {
    if (name !== null) key = await deps.findKey(namespace, name);
  } catch {
    // The cause stays in the operator's log: whoever creates the Pod can only wait.
    return { kind: 'refuse', ...because('VirtualKeyUnreadable', `VirtualKey ${namespace}/${name} could not be looked up; try again`) };
  }
  return inject(pod, namespace, key, deps.settings());
}

function asPod(object: unknown): Pod | null {
  if (!isRecord(object) || !isRecord(object['spec'])) return null;
  // A Pod made from a template has no name yet, and may have no metadata at all.
  return { ...object, metadata: { name: '', ...record(object['metadata']) } };
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

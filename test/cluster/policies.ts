import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { ControlPlane } from './control-plane.ts';

const chart = join(import.meta.dirname, '..', '..', 'charts', 'keyforge');
const template = join(chart, 'templates', 'admission-policies.yaml');
const credentialVariables: unknown = JSON.parse(readFileSync(join(chart, 'files', 'credential-variables.json'), 'utf8'));

/** What the chart's values decide. */
export interface PolicyValues {
  /** Of the proxy. */
  readonly image: string;
  readonly allowedDigests?: readonly string[];
  /** `injector.namespaceSelector`. */
  readonly namespaceSelector?: object;
}

/**
 * The chart's admission policies as release `keyforge` in `keyforge-system` renders them, without Helm: a test of what they
 * refuse needs nothing else. Throws where the template uses something new.
 */
function renderPolicies({ image, allowedDigests = [], namespaceSelector }: PolicyValues): string {
  const values: Readonly<Record<string, string>> = {
    'include "keyforge.fullname" .': 'keyforge',
    'include "keyforge.operatorName" .': 'keyforge-operator',
    'include "keyforge.injectorName" .': 'keyforge-injector',
    'include "keyforge.proxyImage" .': image,
    'include "keyforge.proxyImage" . | quote': JSON.stringify(image),
    '.Release.Namespace': 'keyforge-system',
    '.Files.Get "files/credential-variables.json" | fromJsonArray | toJson': JSON.stringify(credentialVariables),
    '.Values.admissionPolicies.validationActions | toJson': '["Deny"]',
    'concat (list "kube-system" .Release.Namespace) .Values.admissionPolicies.exemptNamespaces | uniq | toJson':
      '["kube-system","keyforge-system"]',
    '- include "keyforge.labels" (dict "context" . "component" "admission") | nindent 4': 'app.kubernetes.io/part-of: keyforge',
    '- if .Values.admissionPolicies.enabled': '',
    '- end': '',
  };
  return readFileSync(template, 'utf8')
    .replaceAll(/\{\{ range \.Values\.proxy\.allowedDigests \}\}(.*?)\{\{ end \}\}/g, (_, each: string) =>
      allowedDigests.map((digest) => each.replaceAll('{{ . }}', digest)).join(''),
    )
    .replaceAll(/\{\{ with \.Values\.injector\.namespaceSelector \}\}(.*?)\{\{ end \}\}/g, (_, narrowed: string) =>
      namespaceSelector === undefined
        ? ''
        : narrowed.replaceAll('{{ toJson . | quote }}', () => JSON.stringify(JSON.stringify(namespaceSelector))),
    )
    .replaceAll(/\{\{(.*?)\}\}/g, (whole, expression: string) => {
      const value = values[expression.trim()];
      if (value === undefined) throw new Error(`admission-policies.yaml uses ${whole}, which this does not know`);
      return value;
    });
}

/**
 * Applies the chart's admission policies and waits until every one is in force. The API server compiles what it has heard of
 * once a second, and hears of policies in the order of their writing: where a last one refuses, so do all before it.
 */
export async function enforcePolicies(cluster: ControlPlane, values: PolicyValues): Promise<void> {
  await cluster.apply(renderPolicies(values));
  await cluster.apply(lastPolicy);
  const refused = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'refused' } };
  for (let tries = 0; tries < 1200; tries++, await pause(50)) {
    const { status } = await cluster.client.request('POST', '/api/v1/namespaces/default/configmaps?dryRun=All', refused);
    if (status === 422) return;
  }
  throw new Error('the admission policies are not in force after a minute');
}

const lastPolicy = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: last}
spec:
  matchConstraints:
    resourceRules:
    - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps], resourceNames: [refused]}
  validations:
  - {expression: "false"}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: last}
spec: {policyName: last, validationActions: [Deny]}
`;

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const template = join(import.meta.dirname, '..', '..', 'charts', 'keyforge', 'templates', 'admission-policies.yaml');

/** What the chart's values decide. */
export interface PolicyValues {
  /** Of the proxy. */
  readonly image: string;
  readonly allowedDigests?: readonly string[];
}

/**
 * The chart's admission policies as release `keyforge` in `keyforge-system` renders them, without Helm: a test of what they
 * refuse needs nothing else. Throws where the template uses something new.
 */
export function renderPolicies({ image, allowedDigests = [] }: PolicyValues): string {
  const values: Readonly<Record<string, string>> = {
    'include "keyforge.fullname" .': 'keyforge',
    'include "keyforge.operatorName" .': 'keyforge-operator',
    'include "keyforge.injectorName" .': 'keyforge-injector',
    'include "keyforge.proxyImage" .': image,
    'include "keyforge.proxyImage" . | quote': JSON.stringify(image),
    '.Release.Namespace': 'keyforge-system',
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
    .replaceAll(/\{\{(.*?)\}\}/g, (whole, expression: string) => {
      const value = values[expression.trim()];
      if (value === undefined) throw new Error(`admission-policies.yaml uses ${whole}, which this does not know`);
      return value;
    });
}

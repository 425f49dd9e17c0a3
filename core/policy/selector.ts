import type { Namespace, NamespaceSelector } from '../manifest/types.ts';

/** True if a selector matches a namespace. */
export type Selects = (selector: NamespaceSelector, namespace: string) => boolean;

const nameLabel = 'kubernetes.io/metadata.name';

/** Treats every namespace as existing; one without a manifest has only the label that Kubernetes sets on each. */
export function namespaceSelects(namespaces: readonly Namespace[]): Selects {
  const labels = new Map(namespaces.map((namespace) => [namespace.name, new Map(Object.entries(namespace.labels))]));
  return (selector, namespace) =>
    Object.entries(selector.matchLabels).every(([label, wanted]) =>
      label === nameLabel ? wanted === namespace : labels.get(namespace)?.get(label) === wanted,
    );
}

/** The text of a selector that matches one namespace. */
export function selectorFor(namespace: string): string {
  return `{namespaceSelector: {matchLabels: {${nameLabel}: ${namespace}}}}`;
}

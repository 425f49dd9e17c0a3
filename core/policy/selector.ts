import type { Namespace, NamespaceSelector } from '../manifest/types.ts';

/** Whether a selector takes in a namespace. */
export type Selects = (selector: NamespaceSelector, namespace: string) => boolean;

const nameLabel = 'kubernetes.io/metadata.name';

/** Every namespace exists; one without a manifest has only the label that Kubernetes gives to each. */
export function namespaceSelects(namespaces: readonly Namespace[]): Selects {
  const labels = new Map(namespaces.map((namespace) => [namespace.name, new Map(Object.entries(namespace.labels))]));
  return (selector, namespace) =>
    Object.entries(selector.matchLabels).every(([label, wanted]) =>
      label === nameLabel ? wanted === namespace : labels.get(namespace)?.get(label) === wanted,
    );
}

/** The selector that takes in one namespace, as people write it. */
export function selectorFor(namespace: string): string {
  return `{namespaceSelector: {matchLabels: {${nameLabel}: ${namespace}}}}`;
}

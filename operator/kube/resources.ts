import type { Resource } from './types.ts';

const core = { group: '', version: 'v1' };

/** Every kind that the operator reads or writes; the chart's RBAC names the same. */
export const virtualKeys: Resource = {
  group: 'keyforge.dev',
  version: 'v1alpha1',
  plural: 'virtualkeys',
  kind: 'VirtualKey',
  namespaced: true,
};
export const providerPools: Resource = { ...virtualKeys, plural: 'providerpools', kind: 'ProviderPool' };
export const pods: Resource = { ...core, plural: 'pods', kind: 'Pod', namespaced: true };
export const secrets: Resource = { ...core, plural: 'secrets', kind: 'Secret', namespaced: true };
export const namespaces: Resource = { ...core, plural: 'namespaces', kind: 'Namespace', namespaced: false };
export const leases: Resource = { group: 'coordination.k8s.io', version: 'v1', plural: 'leases', kind: 'Lease', namespaced: true };
export const events: Resource = { group: 'events.k8s.io', version: 'v1', plural: 'events', kind: 'Event', namespaced: true };
export const tokenReviews: Resource = {
  group: 'authentication.k8s.io',
  version: 'v1',
  plural: 'tokenreviews',
  kind: 'TokenReview',
  namespaced: false,
};
export const mutatingWebhooks: Resource = {
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  plural: 'mutatingwebhookconfigurations',
  kind: 'MutatingWebhookConfiguration',
  namespaced: false,
};

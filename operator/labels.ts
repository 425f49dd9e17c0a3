/** On every Secret that is ours; the operator's admission policy lets it touch no other. */
export const managedLabel = 'app.kubernetes.io/managed-by';
export const managedValue = 'keyforge';
/** On the sealed credentials of a pool. */
export const vaultLabel = 'keyforge.dev/vault';
/** Which pool a vault Secret belongs to, `namespace/name`. */
export const poolAnnotation = 'keyforge.dev/pool';
/** Any new value rotates the key's token, once. */
export const rotateAnnotation = 'keyforge.dev/rotate';

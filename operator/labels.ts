/** The label of every Secret of ours. The operator's admission policy allows writes to no other Secret. */
export const managedLabel = 'app.kubernetes.io/managed-by';
export const managedValue = 'keyforge';
/** The label of a pool's sealed credentials. */
export const vaultLabel = 'keyforge.dev/vault';
/** The annotation that names the pool of a vault Secret, `namespace/name`. */
export const poolAnnotation = 'keyforge.dev/pool';
/** The annotation that rotates a key's token, once for each new value. */
export const rotateAnnotation = 'keyforge.dev/rotate';

/** Names that the cluster sees; users, policies and dashboards rely on them. */
export const injectLabel = 'keyforge.dev/inject';
export const virtualKeyAnnotation = 'keyforge.dev/virtual-key';
/** The injector's mark, by which a later call recognises that another webhook changed our container. Nothing may trust it. */
export const injectedAnnotation = 'keyforge.dev/injected';
export const proxyContainer = 'keyforge-proxy';
/** The projected service account token with our audience, mounted where the API server otherwise mounts its own. */
export const tokenVolume = 'keyforge-token';
export const tokenMountPath = '/var/run/secrets/kubernetes.io/serviceaccount';
/** The emptyDir of the spool: it outlives the container, but not the Pod. */
export const dataVolume = 'keyforge-data';
export const dataMountPath = '/var/lib/keyforge';
/** No other container may run as this user. */
export const proxyUserId = 64087;
export const agentPort = 8787;
export const metricsPort = 9464;
/** The container port's name; the API allows 15 characters. */
export const metricsPortName = 'kf-metrics';
/** Audience of the token that a proxy shows to the operator. */
export const controlAudience = 'keyforge.dev/control';

/** Every reason of the injector, each with its one sentence; the same name in events, logs and metrics. */
export const reasons = {
  NotOptedIn: 'The Pod does not carry the label keyforge.dev/inject: "true".',
  AlreadyInjected: 'The Pod already has its proxy.',
  NotAPodCreation: 'The request is not for the creation of a Pod.',
  NoVirtualKeyAnnotation: 'The label is there, the annotation keyforge.dev/virtual-key is not, or names no possible object.',
  VirtualKeyNotFound: 'No VirtualKey of that name is in the Pod’s namespace.',
  VirtualKeyUnreadable: 'The VirtualKey could not be looked up for now.',
  NotDeliveredToSidecars: 'The VirtualKey’s spec.delivery does not hold Sidecar.',
  KubernetesTooOld: 'Native sidecars need Kubernetes 1.29.',
  Windows: 'The proxy runs on Linux only.',
  HostNetwork: 'The proxy’s loopback would be the node’s.',
  HostPID: 'The proxy’s memory would be open to the Pod.',
  HostIPC: 'The Pod shares the node’s IPC.',
  SharedProcessNamespace: 'The proxy’s memory would be open to the Pod’s other containers.',
  HostAliases: 'The Pod changes what host names mean to the proxy.',
  HostnameOverride: 'The Pod may take the name of another host.',
  DnsConfig: 'The Pod changes what host names mean to the proxy, or cannot resolve the operator’s.',
  HostPath: 'A volume shows the node’s files, the proxy’s token among them.',
  EphemeralContainer: 'A debug container could reach the provider keys in the proxy.',
  PrivilegedContainer: 'A container could read the proxy’s memory.',
  CapabilityAdded: 'A container could reach into the proxy or its traffic.',
  AppArmorProfile: 'The Pod sets an AppArmor profile for all its containers, the proxy among them.',
  SELinuxOptions: 'The Pod sets an SELinux user, role or type for all its containers, the proxy among them.',
  UserIdTaken: 'Another container would run as the proxy’s user.',
  ProxyVolumeMounted: 'Another container mounts the proxy’s token or records.',
  ControlAudienceTaken: 'Another volume holds a token with which a container could pass for the proxy.',
  PortTaken: 'Another container has the proxy’s port.',
  ForeignProxyContainer: 'A container or volume has a name of the injector’s, but was made by hand or by another operator.',
  RawProviderKey: 'The Pod contains a provider’s own key.',
  EnvironmentSet: 'A container sets part of a pair of variables itself: that pair is left alone.',
  EnvironmentUnseen: 'A container takes variables from envFrom, which cannot be seen.',
  Injected: 'The proxy was added or repaired.',
  NotInjected: 'The Pod is labelled for injection and runs without a proxy.',
} as const;

export type ReasonName = keyof typeof reasons;

/** Why a Pod is not injected, or why a pair of variables is not set. */
export interface Reason {
  readonly reason: ReasonName;
  /** What, which object, what to do. */
  readonly message: string;
}

/** A reason of the table with its message: what, which object, what to do. Default: the table's sentence. */
export function because(reason: ReasonName, message: string = reasons[reason]): Reason {
  return { reason, message };
}

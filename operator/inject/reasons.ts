/** Every reason of the injector, each with its one sentence; the same name in events, logs and metrics. */
export const reasons = {
  NotOptedIn: 'The Pod does not have the label keyforge.dev/inject: "true".',
  AlreadyInjected: 'The Pod already has its proxy.',
  NotAPodCreation: 'The request is not for the creation of a Pod.',
  NoVirtualKeyAnnotation: 'The Pod has the label, but its annotation keyforge.dev/virtual-key is missing or is not the name of an object.',
  VirtualKeyNotFound: 'No VirtualKey of that name is in the Pod’s namespace.',
  VirtualKeyUnreadable: 'The operator cannot look up the VirtualKey now.',
  NotDeliveredToSidecars: 'The VirtualKey’s spec.delivery does not contain Sidecar.',
  KubernetesTooOld: 'Native sidecars need Kubernetes 1.29.',
  Windows: 'The proxy runs on Linux only.',
  HostNetwork: 'The proxy would share the node’s loopback.',
  HostPID: 'The Pod could read the proxy’s memory.',
  HostIPC: 'The Pod shares the node’s IPC.',
  SharedProcessNamespace: 'The Pod’s other containers could read the proxy’s memory.',
  HostAliases: 'The Pod changes how the proxy resolves host names.',
  HostnameOverride: 'The Pod may take the name of another host.',
  DnsConfig: 'The Pod changes how the proxy resolves host names, or cannot resolve the operator’s name.',
  HostPath: 'A volume contains the node’s files, which include the proxy’s token.',
  EphemeralContainer: 'A debug container could reach the provider keys in the proxy.',
  PrivilegedContainer: 'A container could read the proxy’s memory.',
  CapabilityAdded: 'A container could reach into the proxy or its traffic.',
  AppArmorProfile: 'The Pod sets an AppArmor profile for all its containers, including the proxy.',
  SELinuxOptions: 'The Pod sets an SELinux user, role or type for all its containers, including the proxy.',
  UserIdTaken: 'Another container would run as the proxy’s user.',
  ProxyVolumeMounted: 'Another container mounts the proxy’s token or records.',
  ControlAudienceTaken: 'Another volume holds a token with which a container could pass for the proxy.',
  PortTaken: 'Another container uses the proxy’s port.',
  ForeignProxyContainer: 'A container or volume uses one of the injector’s names, but the injector did not write it.',
  RawProviderKey: 'The Pod contains a provider’s own key.',
  EnvironmentSet: 'A container sets part of a pair of variables itself, so the injector does not change that pair.',
  EnvironmentUnseen: 'A container takes variables from envFrom, which the injector cannot read.',
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

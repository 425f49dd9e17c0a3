import { otherContainers, type PlacedContainer, volumesOf } from './containers.ts';
import { differences, type JsonRecord, list, pointer, record } from './json.ts';
import { controlAudience, dataVolume, proxyUserId, tokenVolume } from './names.ts';
import { because, type Reason, type ReasonName } from './reasons.ts';
import type { Pod } from './types.ts';

/** Something in a Pod, outside our container, that reaches into it. */
export interface Hazard extends Reason {
  /** JSON Pointer. */
  readonly path: string;
}

/** What the baseline Pod Security Standard lets a container add. */
const harmlessCapabilities: ReadonlySet<unknown> = new Set([
  'AUDIT_WRITE',
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'KILL',
  'MKNOD',
  'NET_BIND_SERVICE',
  'SETFCAP',
  'SETGID',
  'SETPCAP',
  'SETUID',
  'SYS_CHROOT',
]);

const ourVolumes: ReadonlySet<unknown> = new Set([tokenVolume, dataVolume]);

/** Every such thing. The injector refuses a Pod that has one; the broker ends the session of a Pod that got one. */
export function hazards(pod: Pod): readonly Hazard[] {
  const spec = record(pod['spec']);
  return [
    ...windowsHazards(spec),
    ...fieldHazards(spec),
    ...securityHazards(record(spec['securityContext'])),
    ...volumesOf(pod).flatMap(({ path, volume }) => volumeHazards(path, volume)),
    ...otherContainers(pod).flatMap((placed) => containerHazards(placed, spec)),
  ];
}

function fieldHazards(spec: JsonRecord): readonly Hazard[] {
  const dns = record(spec['dnsConfig']);
  const rules: readonly (readonly [boolean, string, ReasonName, string])[] = [
    [
      spec['hostNetwork'] === true,
      '/spec/hostNetwork',
      'HostNetwork',
      'the proxy listens on the Pod’s own loopback; set hostNetwork: false',
    ],
    [spec['hostPID'] === true, '/spec/hostPID', 'HostPID', 'the proxy’s memory would be open to the Pod; set hostPID: false'],
    [spec['hostIPC'] === true, '/spec/hostIPC', 'HostIPC', 'the Pod would share the node’s IPC; set hostIPC: false'],
    [
      spec['shareProcessNamespace'] === true,
      '/spec/shareProcessNamespace',
      'SharedProcessNamespace',
      'the proxy’s memory would be open to the other containers; set shareProcessNamespace: false',
    ],
    [
      list(spec['hostAliases']).length > 0,
      '/spec/hostAliases',
      'HostAliases',
      'the proxy would take host names from the Pod; remove hostAliases, use a Service of type ExternalName',
    ],
    [isSet(spec['hostnameOverride']), '/spec/hostnameOverride', 'HostnameOverride', 'the Pod may not take another host’s name; remove it'],
    [
      list(dns['nameservers']).length > 0,
      '/spec/dnsConfig/nameservers',
      'DnsConfig',
      'the proxy needs the cluster’s name servers; remove them',
    ],
    [list(dns['searches']).length > 0, '/spec/dnsConfig/searches', 'DnsConfig', 'the proxy needs the cluster’s search list; remove it'],
    [
      spec['dnsPolicy'] === 'None' || spec['dnsPolicy'] === 'Default',
      '/spec/dnsPolicy',
      'DnsConfig',
      'the proxy finds the operator by the cluster’s DNS; set dnsPolicy: ClusterFirst',
    ],
  ];
  return rules.flatMap(([applies, path, reason, advice]) => (applies ? [hazard(reason, path, advice)] : []));
}

/** What the Pod sets for all containers that do not set it themselves, the proxy among them. */
function securityHazards({ runAsUser, appArmorProfile, seLinuxOptions }: JsonRecord): readonly Hazard[] {
  const path = '/spec/securityContext';
  // A level alone keeps Pods apart from each other, and some clusters give every Pod one; within a Pod all have the same.
  const { level: _, ...label } = record(seLinuxOptions);
  return [
    ...(runAsUser === proxyUserId
      ? [hazard('UserIdTaken', `${path}/runAsUser`, `user ${proxyUserId} is the proxy’s; choose another`)]
      : []),
    ...(isSet(appArmorProfile) && record(appArmorProfile)['type'] !== 'RuntimeDefault'
      ? [hazard('AppArmorProfile', `${path}/appArmorProfile`, 'it would hold for the proxy too; set it at the containers')]
      : []),
    ...(Object.values(label).some(isSet)
      ? [hazard('SELinuxOptions', `${path}/seLinuxOptions`, 'user, role and type would hold for the proxy too; set them at the containers')]
      : []),
  ];
}

function windowsHazards(spec: JsonRecord): readonly Hazard[] {
  const required = 'requiredDuringSchedulingIgnoredDuringExecution';
  const terms = list(record(record(record(spec['affinity'])['nodeAffinity'])[required])['nodeSelectorTerms']);
  const rules: readonly (readonly [boolean, string])[] = [
    [record(spec['os'])['name'] === 'windows', '/spec/os'],
    [record(spec['nodeSelector'])['kubernetes.io/os'] === 'windows', pointer('spec', 'nodeSelector', 'kubernetes.io/os')],
    [terms.some(wantsWindows), pointer('spec', 'affinity', 'nodeAffinity', required)],
  ];
  const advice = 'the proxy runs on Linux nodes only; take the label keyforge.dev/inject off';
  return rules.flatMap(([applies, path]) => (applies ? [hazard('Windows', path, advice)] : []));
}

function wantsWindows(term: unknown): boolean {
  return list(record(term)['matchExpressions'])
    .map(record)
    .some(
      ({ key, operator, values }) => key === 'kubernetes.io/os' && operator === 'In' && differences(values, ['windows'], '').length === 0,
    );
}

function volumeHazards(path: string, volume: JsonRecord): readonly Hazard[] {
  if (isSet(volume['hostPath'])) {
    return [hazard('HostPath', `${path}/hostPath`, `volume ${volume['name']} shows files of the node; use another kind of volume`)];
  }
  if (volume['name'] === tokenVolume) return [];
  // With such a token any container could show itself to the operator as the Pod's proxy.
  return list(record(volume['projected'])['sources']).flatMap((source, index) =>
    record(record(source)['serviceAccountToken'])['audience'] === controlAudience
      ? [
          hazard(
            'ControlAudienceTaken',
            path + pointer('projected', 'sources', index, 'serviceAccountToken', 'audience'),
            `volume ${volume['name']} asks for the proxy’s own audience; choose another`,
          ),
        ]
      : [],
  );
}

function containerHazards({ list: kind, path, name, container }: PlacedContainer, spec: JsonRecord): readonly Hazard[] {
  if (kind === 'ephemeralContainers') return [hazard('EphemeralContainer', path, `${name} may not debug a Pod that holds provider keys`)];
  const security = record(container['securityContext']);
  const windows = isSet(security['windowsOptions']) || isSet(record(spec['securityContext'])['windowsOptions']);
  return [
    ...(windows ? [hazard('Windows', `${path}/securityContext/windowsOptions`, 'the proxy runs on Linux nodes only')] : []),
    ...(security['privileged'] === true
      ? [
          hazard(
            'PrivilegedContainer',
            `${path}/securityContext/privileged`,
            `container ${name} may not be privileged beside provider keys`,
          ),
        ]
      : []),
    ...(security['runAsUser'] === proxyUserId
      ? [hazard('UserIdTaken', `${path}/securityContext/runAsUser`, `user ${proxyUserId} is the proxy’s; choose another for ${name}`)]
      : []),
    ...list(record(security['capabilities'])['add']).flatMap((capability, index) =>
      harmlessCapabilities.has(capability)
        ? []
        : [
            hazard(
              'CapabilityAdded',
              path + pointer('securityContext', 'capabilities', 'add', index),
              `container ${name} may not add ${capability} beside provider keys; remove it`,
            ),
          ],
    ),
    ...list(container['volumeMounts']).flatMap((mount, index) =>
      ourVolumes.has(record(mount)['name'])
        ? [
            hazard(
              'ProxyVolumeMounted',
              path + pointer('volumeMounts', index),
              `container ${name} mounts ${record(mount)['name']}, which is the proxy’s alone; remove the mount`,
            ),
          ]
        : [],
    ),
  ];
}

function hazard(reason: ReasonName, path: string, advice: string): Hazard {
  return { ...because(reason, `${path}: ${advice}`), path };
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null;
}

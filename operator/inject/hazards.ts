import type { JsonObject } from '../../core/json.ts';
import { differences, isSet, list, pointer, record } from './json.ts';
import { controlAudience, dataVolume, injectLabel, proxyUserId, tokenVolume } from './names.ts';
import type { PlacedContainer, PlacedVolume, PodView } from './pod-view.ts';
import { because, type Reason, type ReasonName, reasons } from './reasons.ts';

/** Something in a Pod, outside our container, that can reach into our container. */
interface Hazard extends Reason {
  /** JSON Pointer. */
  readonly path: string;
}

/** A hazard of the Pod as a whole. */
interface PodRule {
  readonly reason: ReasonName;
  /** JSON Pointer. */
  readonly path: string;
  readonly found: (spec: JsonObject) => boolean;
  /** What to do, a sentence. */
  readonly fix: string;
}

const removeLabel = `Remove the label ${injectLabel}.`;
const required = 'requiredDuringSchedulingIgnoredDuringExecution';
const security = '/spec/securityContext';

const podRules: readonly PodRule[] = [
  { reason: 'Windows', path: '/spec/os', found: ({ os }) => record(os)['name'] === 'windows', fix: removeLabel },
  {
    reason: 'Windows',
    path: pointer('spec', 'nodeSelector', 'kubernetes.io/os'),
    found: ({ nodeSelector }) => record(nodeSelector)['kubernetes.io/os'] === 'windows',
    fix: removeLabel,
  },
  { reason: 'Windows', path: pointer('spec', 'affinity', 'nodeAffinity', required), found: requiresWindows, fix: removeLabel },
  { reason: 'HostNetwork', path: '/spec/hostNetwork', found: ({ hostNetwork }) => hostNetwork === true, fix: 'Set hostNetwork: false.' },
  { reason: 'HostPID', path: '/spec/hostPID', found: ({ hostPID }) => hostPID === true, fix: 'Set hostPID: false.' },
  { reason: 'HostIPC', path: '/spec/hostIPC', found: ({ hostIPC }) => hostIPC === true, fix: 'Set hostIPC: false.' },
  {
    reason: 'SharedProcessNamespace',
    path: '/spec/shareProcessNamespace',
    found: ({ shareProcessNamespace }) => shareProcessNamespace === true,
    fix: 'Set shareProcessNamespace: false.',
  },
  {
    reason: 'HostAliases',
    path: '/spec/hostAliases',
    found: ({ hostAliases }) => list(hostAliases).length > 0,
    fix: 'Remove hostAliases; use a Service of type ExternalName.',
  },
  {
    reason: 'HostnameOverride',
    path: '/spec/hostnameOverride',
    found: ({ hostnameOverride }) => isSet(hostnameOverride),
    fix: 'Remove hostnameOverride.',
  },
  {
    reason: 'DnsConfig',
    path: '/spec/dnsConfig/nameservers',
    found: ({ dnsConfig }) => list(record(dnsConfig)['nameservers']).length > 0,
    fix: 'Remove nameservers.',
  },
  {
    reason: 'DnsConfig',
    path: '/spec/dnsConfig/searches',
    found: ({ dnsConfig }) => list(record(dnsConfig)['searches']).length > 0,
    fix: 'Remove searches.',
  },
  {
    reason: 'DnsConfig',
    path: '/spec/dnsPolicy',
    found: ({ dnsPolicy }) => dnsPolicy === 'None' || dnsPolicy === 'Default',
    fix: 'Set dnsPolicy: ClusterFirst.',
  },
  // Settings of the Pod for all containers that do not set them, the proxy included.
  {
    reason: 'UserIdTaken',
    path: `${security}/runAsUser`,
    found: ({ securityContext }) => record(securityContext)['runAsUser'] === proxyUserId,
    fix: `Choose a user other than ${proxyUserId}.`,
  },
  { reason: 'AppArmorProfile', path: `${security}/appArmorProfile`, found: setsAppArmor, fix: 'Set it at the containers.' },
  { reason: 'SELinuxOptions', path: `${security}/seLinuxOptions`, found: setsSELinux, fix: 'Set them at the containers.' },
];

/** Capabilities that the baseline Pod Security Standard allows a container to add. */
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

/** Finds all hazards. The injector refuses a Pod with one; the operator ends the session of a Pod that acquires one. */
export function hazards({ spec, volumes, others }: PodView): readonly Hazard[] {
  return [
    ...podRules.filter(({ found }) => found(spec)).map(({ reason, path, fix }) => hazard(reason, path, fix)),
    ...volumes.flatMap(volumeHazards),
    ...others.flatMap((placed) => containerHazards(placed, spec)),
  ];
}

function requiresWindows({ affinity }: JsonObject): boolean {
  const terms = list(record(record(record(affinity)['nodeAffinity'])[required])['nodeSelectorTerms']);
  const expressions = terms.flatMap((term) => list(record(term)['matchExpressions'])).map(record);
  return expressions.some(
    ({ key, operator, values }) => key === 'kubernetes.io/os' && operator === 'In' && differences(values, ['windows'], '').length === 0,
  );
}

function setsAppArmor({ securityContext }: JsonObject): boolean {
  const { appArmorProfile } = record(securityContext);
  return isSet(appArmorProfile) && record(appArmorProfile)['type'] !== 'RuntimeDefault';
}

/** True for a user, role or type. A level alone is harmless: it separates Pods, and all containers of a Pod share it. */
function setsSELinux({ securityContext }: JsonObject): boolean {
  const { level: _, ...label } = record(record(securityContext)['seLinuxOptions']);
  return Object.values(label).some(isSet);
}

function volumeHazards({ path, volume }: PlacedVolume): readonly Hazard[] {
  if (isSet(volume['hostPath'])) return [hazard('HostPath', `${path}/hostPath`, `Use another kind of volume for ${volume['name']}.`)];
  if (volume['name'] === tokenVolume) return [];
  // With such a token, any container could pass for the Pod's proxy at the operator.
  return list(record(volume['projected'])['sources']).flatMap((source, index) => {
    if (record(record(source)['serviceAccountToken'])['audience'] !== controlAudience) return [];
    const place = path + pointer('projected', 'sources', index, 'serviceAccountToken', 'audience');
    return [hazard('ControlAudienceTaken', place, `Choose another audience in volume ${volume['name']}.`)];
  });
}

function containerHazards({ list: kind, path, name, container }: PlacedContainer, spec: JsonObject): readonly Hazard[] {
  if (kind === 'ephemeralContainers')
    return [hazard('EphemeralContainer', path, `Debug a copy of the Pod without the label ${injectLabel}.`)];
  const at = `${path}/securityContext`;
  const { windowsOptions, privileged, runAsUser, capabilities } = record(container['securityContext']);
  const found: Hazard[] = [];
  if (isSet(windowsOptions) || isSet(record(spec['securityContext'])['windowsOptions']))
    found.push(hazard('Windows', `${at}/windowsOptions`, removeLabel));
  if (privileged === true) found.push(hazard('PrivilegedContainer', `${at}/privileged`, `Set privileged: false in container ${name}.`));
  if (runAsUser === proxyUserId)
    found.push(hazard('UserIdTaken', `${at}/runAsUser`, `Choose a user other than ${proxyUserId} for container ${name}.`));
  for (const [index, capability] of list(record(capabilities)['add']).entries()) {
    if (harmlessCapabilities.has(capability)) continue;
    const place = at + pointer('capabilities', 'add', index);
    found.push(hazard('CapabilityAdded', place, `Remove ${capability} from container ${name}.`));
  }
  for (const [index, mount] of list(container['volumeMounts']).entries()) {
    const { name: volume } = record(mount);
    if (!ourVolumes.has(volume)) continue;
    found.push(
      hazard('ProxyVolumeMounted', path + pointer('volumeMounts', index), `Remove the mount of ${volume} from container ${name}.`),
    );
  }
  return found;
}

function hazard(reason: ReasonName, path: string, fix: string): Hazard {
  return { ...because(reason, `${path}: ${reasons[reason]} ${fix}`), path };
}

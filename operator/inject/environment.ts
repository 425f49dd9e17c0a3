import { type SdkVariables, sdkVariables, urlVariables } from '../../core/base-urls.ts';
import type { JsonObject } from '../../core/json.ts';
import type { JsonPatchOperation } from '../kube/types.ts';
import { differences, isSet, list, record } from './json.ts';
import { agentPort } from './names.ts';
import type { PlacedContainer } from './pod-view.ts';
import { because, type Reason } from './reasons.ts';

/** An item of a container's `env`. */
type Variable = JsonObject & { readonly name: string };

/** The change of one container's environment. */
interface EnvironmentChange {
  readonly patch: readonly JsonPatchOperation[];
  readonly warnings: readonly Reason[];
}

const origin = `http://127.0.0.1:${agentPort}`;
const loopback = ['127.0.0.1', 'localhost', '::1'];

/** Adds our variables first, so that the container's own may refer to them by `$(NAME)`. */
export function environmentChange({ path, name, container }: PlacedContainer, secretName: string): EnvironmentChange {
  const present = list(container['env']).map(record);
  const choices = sdkVariables.map((pair) => choosePair(pair, secretName, present, name));
  const added = choices.flatMap(({ variables }) => variables);
  const loopbackChange = passLoopback(present, `${path}/env`, name);
  const unseen =
    list(container['envFrom']).length > 0 && added.length > 0
      ? [because('EnvironmentUnseen', `container ${name}: our provider variables override what its envFrom sets`)]
      : [];
  return {
    // Replacements go first, because additions at the front move every index.
    patch: [...loopbackChange.replaced, ...addFirst(container['env'], [...added, ...loopbackChange.added], `${path}/env`)],
    warnings: [...choices.flatMap(({ warnings }) => warnings), ...unseen, ...loopbackChange.warnings],
  };
}

function choosePair(
  pair: SdkVariables,
  secretName: string,
  present: readonly JsonObject[],
  container: string,
): { readonly variables: readonly Variable[]; readonly warnings: readonly Reason[] } {
  const wanted: readonly Variable[] = [
    ...urlVariables(pair, origin).map(([name, value]) => ({ name, value })),
    ...pair.keys.map((name) => ({ name, valueFrom: { secretKeyRef: { name: secretName, key: 'api-key' } } })),
  ];
  const own = present.find(({ name, ...rest }) =>
    wanted.some((variable) => variable.name === name && differences({ name, ...rest }, variable, '').length > 0),
  );
  if (own !== undefined) {
    const message = `container ${container} sets ${own['name']} itself: the injector does not change its ${pair.title} variables`;
    return { variables: [], warnings: [because('EnvironmentSet', message)] };
  }
  return { variables: [...wanted, ...pair.also].filter(({ name }) => !present.some((each) => each['name'] === name)), warnings: [] };
}

interface LoopbackChange {
  readonly replaced: readonly JsonPatchOperation[];
  readonly added: readonly Variable[];
  readonly warnings: readonly Reason[];
}

/** Sets NO_PROXY in both spellings, because clients differ in which they read first. An absent one gets the value of the other. */
function passLoopback(present: readonly JsonObject[], path: string, container: string): LoopbackChange {
  const spellings = ['NO_PROXY', 'no_proxy'] as const;
  // Of several with one name, the last counts.
  const places = spellings.map((name) => present.findLastIndex((variable) => variable['name'] === name));
  const found = places.flatMap((place) => (place < 0 ? [] : [present[place] ?? {}]));
  const computed = found.find(({ valueFrom }) => isSet(valueFrom));
  if (computed !== undefined) {
    const message = `container ${container} reads ${computed['name']} from another object: make sure that it contains 127.0.0.1`;
    return { replaced: [], added: [], warnings: [because('EnvironmentSet', message)] };
  }
  const example = String(found[0]?.['value'] ?? '');
  const replaced: JsonPatchOperation[] = [];
  const added: Variable[] = [];
  for (const [index, name] of spellings.entries()) {
    const place = places[index] ?? -1;
    const value = String(place < 0 ? example : (present[place]?.['value'] ?? ''));
    const extended = withLoopback(value);
    if (place < 0) added.push({ name, value: extended });
    else if (extended !== value) replaced.push({ op: 'add', path: `${path}/${place}/value`, value: extended });
  }
  return { replaced, added, warnings: [] };
}

function withLoopback(value: string): string {
  const hosts = value
    .split(',')
    .map((host) => host.trim())
    .filter((host) => host !== '');
  if (hosts.includes('*') || loopback.every((host) => hosts.includes(host))) return value;
  return [...hosts, ...loopback.filter((host) => !hosts.includes(host))].join(',');
}

function addFirst(env: unknown, variables: readonly Variable[], path: string): readonly JsonPatchOperation[] {
  if (variables.length === 0) return [];
  if (!Array.isArray(env)) return [{ op: 'add', path, value: variables }];
  return variables.map((value, index) => ({ op: 'add', path: `${path}/${index}`, value }));
}

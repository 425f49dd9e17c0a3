import { literalCredentialVariables } from '../../core/credential-variables.ts';
import { list, record } from './json.ts';
import type { PodView } from './pod-view.ts';
import { because, type Reason } from './reasons.ts';

/** Keys whose shape shows their provider: OpenAI, Anthropic and OpenRouter (sk-…), Google (AIza…, AQ.…), AWS (AKIA…, ABSK…). */
const shapes = /(?:^|[^\w-])(?:sk-[\w-]{20,}|AIza[\w-]{35}|AQ\.[\w-]{30,}|(?:AKIA|ASIA)[0-9A-Z]{16}|ABSK[\w+/=]{40,})/;

/** Text that looks random; placeholders such as `unused` are shorter, or words. */
const randomText = /^(?=.*[0-9])[\w+/=.-]{20,}$/;

/** Finds the first provider key that is a literal in a container's env; null if there is none. The message omits its value. */
export function rawProviderKey({ others }: PodView): Reason | null {
  for (const { name, container } of others) {
    for (const variable of list(container['env']).map(record)) {
      if (!isRawKey(String(variable['name']), variable['value'])) continue;
      return because(
        'RawProviderKey',
        `container ${name} has a provider’s key in env ${variable['name']}: revoke that key, put its successor into a ProviderPool, and remove the variable`,
      );
    }
  }
  return null;
}

/** True for a value that a provider would accept; `vk_…` is ours. */
function isRawKey(name: string, value: unknown): boolean {
  if (typeof value !== 'string') return false;
  if (shapes.test(value)) return true;
  // For keys without such a shape.
  return literalCredentialVariables.has(name) && randomText.test(value) && !value.startsWith('vk_');
}

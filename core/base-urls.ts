/** The three families of SDKs that an agent may use. */
type SdkFamily = 'openai' | 'anthropic' | 'gemini';

/** The variables from which a family's SDKs read base URL and key. Set all or none, so that no key is sent to the wrong host. */
export interface SdkVariables {
  readonly family: SdkFamily;
  /** For people. */
  readonly title: string;
  readonly url: string;
  /** The first is the one to document; SDKs read any of them. */
  readonly keys: readonly [string, ...string[]];
  /** Set beside them, unless the container says otherwise. */
  readonly also: readonly { readonly name: string; readonly value: string }[];
}

/** OpenAI's Agents SDK posts prompts and results of tools to a fixed address at OpenAI, with the `vk_` key. */
const noTraces = { name: 'OPENAI_AGENTS_DISABLE_TRACING', value: '1' };

export const sdkVariables: readonly SdkVariables[] = [
  { family: 'openai', title: 'OpenAI', url: 'OPENAI_BASE_URL', keys: ['OPENAI_API_KEY'], also: [noTraces] },
  { family: 'anthropic', title: 'Anthropic', url: 'ANTHROPIC_BASE_URL', keys: ['ANTHROPIC_API_KEY'], also: [] },
  { family: 'gemini', title: 'Gemini', url: 'GOOGLE_GEMINI_BASE_URL', keys: ['GEMINI_API_KEY', 'GOOGLE_API_KEY'], also: [] },
];

/** The base URL of each family at a proxy's origin (`http://HOST:PORT`, without a path). Only OpenAI's SDKs expect the version in it. */
export function baseUrls(origin: string): Readonly<Record<SdkFamily, string>> {
  return { openai: `${origin}/v1`, anthropic: origin, gemini: origin };
}

/** The three families of SDKs that an agent may use. */
type SdkFamily = 'openai' | 'anthropic' | 'gemini';

/** The variables from which a family's SDKs read base URL and key. Set all or none, so that no key is sent to the wrong host. */
export interface SdkVariables {
  readonly family: SdkFamily;
  /** For people. */
  readonly title: string;
  readonly url: string;
  /** Variables of libraries that do not read `url`, each with the path of its base URL. */
  readonly otherUrls: readonly { readonly name: string; readonly path: string }[];
  /** The first is the one to document; SDKs read any of them. */
  readonly keys: readonly [string, ...string[]];
  /** Set beside them, unless the container says otherwise. */
  readonly also: readonly { readonly name: string; readonly value: string }[];
}

/** OpenAI's Agents SDK posts prompts and results of tools to a fixed address at OpenAI, with the `vk_` key. */
const noTraces = { name: 'OPENAI_AGENTS_DISABLE_TRACING', value: '1' };

/** LlamaIndex reads the key of `OPENAI_API_KEY`, but this base URL only: without it, the key goes to api.openai.com. */
const llamaIndex = { name: 'OPENAI_API_BASE', path: '/v1' };

/** The same with LiteLLM and Google. */
const liteLlm = { name: 'GEMINI_API_BASE', path: '/v1beta' };

export const sdkVariables: readonly SdkVariables[] = [
  { family: 'openai', title: 'OpenAI', url: 'OPENAI_BASE_URL', otherUrls: [llamaIndex], keys: ['OPENAI_API_KEY'], also: [noTraces] },
  { family: 'anthropic', title: 'Anthropic', url: 'ANTHROPIC_BASE_URL', otherUrls: [], keys: ['ANTHROPIC_API_KEY'], also: [] },
  {
    family: 'gemini',
    title: 'Gemini',
    url: 'GOOGLE_GEMINI_BASE_URL',
    otherUrls: [liteLlm],
    keys: ['GEMINI_API_KEY', 'GOOGLE_API_KEY'],
    also: [],
  },
];

/** The base URL of each family at a proxy's origin (`http://HOST:PORT`, without a path). Only OpenAI's SDKs expect the version in it. */
export function baseUrls(origin: string): Readonly<Record<SdkFamily, string>> {
  return { openai: `${origin}/v1`, anthropic: origin, gemini: origin };
}

/** Names and values of a family's base URLs at a proxy's origin, the official one first. */
export function urlVariables(
  { family, url, otherUrls }: SdkVariables,
  origin: string,
): readonly (readonly [name: string, value: string])[] {
  return [[url, baseUrls(origin)[family]], ...otherUrls.map(({ name, path }) => [name, `${origin}${path}`] as const)];
}

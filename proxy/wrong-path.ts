import { type Refusal, refuse } from '../core/errors.ts';

/** Refuses a path that is no route, and names the one that was meant. `isRoute`: true if a method and path lead somewhere. */
export function refuseUnknown(method: string, path: string, isRoute: (method: string, path: string) => boolean): Refusal {
  const asked = `${method.slice(0, 16)} ${path.slice(0, 100)}`;
  return refuse('not_found', `There is no route ${asked}${hint(method, path, isRoute)}; docs/providers.md lists those there are.`);
}

const maxPathLength = 512;

function hint(method: string, path: string, isRoute: (method: string, path: string) => boolean): string {
  if (path.length > maxPathLength) return '';
  for (const meant of variants(path)) {
    if (isRoute(method, meant)) return `. Did you mean ${meant}? ${baseUrl(meant)}`;
  }
  if (method === 'OPTIONS') return '. A page in a browser may call if --allowed-origins names its origin';
  // A Gemini action that is no route would be a model's name to GET.
  const other = action.test(path) ? undefined : ['POST', 'GET'].find((each) => each !== method && isRoute(each, path));
  if (other !== undefined) return `. Did you mean ${other} ${path}?`;
  return /^\/v1\/responses\/[^/]/.test(path)
    ? ': KeyForge serves no stored responses; send POST /v1/responses and read the answer from it, as a stream if it is long'
    : '';
}

const action = /:[A-Za-z]+$/;
const twice = /(\/v1\/messages|\/messages|\/chat\/completions|\/completions|\/responses|\/embeddings)\1$/;

/** What a wrong base URL does to a path: doubled slashes and versions, none, a slash at the end, a vendor's folder, the whole route. */
function variants(path: string): readonly string[] {
  const clean = path
    .replace(/\/{2,}/g, '/')
    .replace(/(.)\/$/, '$1')
    .replace(/^(\/v1(?:beta)?)+(?=\/v1(?:beta)?\/)/, '')
    .replace(twice, '$1');
  const bare = clean.replace(/^\/(?:v1beta\/openai|v1\/openai|openai|anthropic|api|v1alpha|v1beta|v1)(?=\/)/, '');
  const versions = action.test(clean) ? ['/v1beta', '/v1'] : ['/v1', '/v1beta'];
  return [clean, bare, ...versions.flatMap((version) => [version + clean, version + bare])];
}

/** Google's and Anthropic's SDKs add the version themselves; OpenAI's do not. */
function baseUrl(meant: string): string {
  return /^\/v1\/messages|^\/v1beta\//.test(meant) || action.test(meant)
    ? 'Set the base URL to that of KeyForge without a path, and without a slash at its end'
    : 'Set the base URL to …/v1 once, without a slash at its end';
}

import { baseUrls, sdkVariables } from '../../core/base-urls.ts';

/** What is printed once KeyForge is ready. */
interface Welcome {
  readonly proxyUrl: string;
  readonly adminUrl: string | null;
  readonly metricsUrl: string | null;
  readonly token: string;
  readonly simulated: readonly string[];
}

/** The key, and how to use it from a shell and the official SDKs. */
export function welcomeText({ proxyUrl, adminUrl, metricsUrl, token, simulated }: Welcome): string {
  const providers = ['openai', 'anthropic', 'gemini'].map((name) => `  ${name.padEnd(10)} ${state(name, simulated)}`);
  return `
KeyForge is ready at ${proxyUrl}${metricsUrl === null ? '' : `, metrics at ${metricsUrl}/metrics`}${adminUrl === null ? '' : `, admin at ${adminUrl}`}
${providers.join('\n')}

Your virtual key, one dollar a day (examples/quickstart/key.yaml; edit it and see):

  ${token}

Try it:

  curl ${proxyUrl}/v1/chat/completions -H "Authorization: Bearer ${token}" -H "Content-Type: application/json" -d '{"model":"gpt-5.4-mini","messages":[{"role":"user","content":"Hello"}]}'

Or with the official SDKs, after

${exportLines(proxyUrl, token).join('\n')}

  Python  OpenAI().chat.completions.create(model="gpt-5.4-mini", messages=[{"role": "user", "content": "Hello"}])
          Anthropic().messages.create(model="claude-haiku-4-5", max_tokens=200, messages=[{"role": "user", "content": "Hello"}])
          genai.Client().models.generate_content(model="gemini-2.5-flash", contents="Hello")
  JS      await new OpenAI().chat.completions.create({ model: 'gpt-5.4-mini', messages: [{ role: 'user', content: 'Hello' }] })
          await new Anthropic().messages.create({ model: 'claude-haiku-4-5', max_tokens: 200, messages: [{ role: 'user', content: 'Hello' }] })
          await new GoogleGenAI({}).models.generateContent({ model: 'gemini-2.5-flash', contents: 'Hello' })

Calls appear here. Ctrl-C ends it; the key and what it spent stay in .keyforge.
`;
}

/** Commands for a shell that lead each family's SDKs to the proxy. */
export function exportLines(proxyUrl: string, key: string): readonly string[] {
  const urls = baseUrls(proxyUrl);
  return sdkVariables.map(({ family, url, keys: [variable] }) => `  export ${url}=${urls[family]} ${variable}=${key}`);
}

function state(name: string, simulated: readonly string[]): string {
  if (!simulated.includes(name)) return 'real, with the credential from the environment';
  return `simulated, costs nothing (set ${name.toUpperCase()}_API_KEY for the real one)`;
}

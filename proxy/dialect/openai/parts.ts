import type { JsonObject } from '../../../core/json.ts';
import { asArray, asObject, asString, isGiven } from '../fields.ts';
import { countAudio, countFileData, countImagePayload, countImageUrl } from '../media.ts';
import { addPicture, addStored, type Tally, unbounded } from '../tally.ts';

/** Counts the content of a chat message or Responses item: a string, or a list of parts that may be media. */
export function countContent(tally: Tally, content: unknown): void {
  if (asObject(content) !== null) countPart(tally, content);
  for (const part of asArray(content)) countPart(tally, part);
}

const textParts = new Set([
  'text',
  'input_text',
  'output_text',
  'summary_text',
  'reasoning_text',
  'refusal',
  'thinking',
  'redacted_thinking',
  'reference',
  'encrypted_content',
]);

function countPart(tally: Tally, value: unknown): void {
  const part = asObject(value);
  if (part === null) return;
  if (asObject(part['cache_control'])?.['ttl'] === '1h') tally.cacheWrite = '1h';
  const type = asString(part['type']) ?? '';
  if (textParts.has(type)) return;
  switch (type) {
    case 'image_url':
    case 'input_image':
    case 'computer_screenshot':
      countImage(tally, part);
      return;
    case 'input_audio':
      countInputAudio(tally, part['input_audio']);
      return;
    case 'file':
    case 'input_file':
      countFile(tally, asObject(part['file']) ?? part);
      return;
    default:
      // KeyForge does not know it, but the provider may.
      addStored(tally, 'text', 'image', 'audio', 'video', 'document');
  }
}

/** Counts an image. `image_url` is an object with `url` in chat, and a string in Responses and with Mistral. */
function countImage(tally: Tally, part: JsonObject): void {
  const url = asString(part['image_url']) ?? asString(asObject(part['image_url'])?.['url']);
  if (url === null) addPicture(tally, null);
  else countImageUrl(tally, url);
}

/** Counts audio: an object with base64 `data`; with Mistral, a string that is base64 or a URL. */
function countInputAudio(tally: Tally, audio: unknown): void {
  const data = asString(asObject(audio)?.['data']) ?? asString(audio);
  if (data !== null && !/^https?:/i.test(data)) countAudio(tally, data);
  else addStored(tally, 'audio');
}

function countFile(tally: Tally, file: JsonObject): void {
  const data = asString(file['file_data']);
  if (data === null) addStored(tally, 'text', 'image', 'document');
  else countFileData(tally, data);
}

/** Counts a picture of an earlier turn, sent back as base64. */
export function countResult(tally: Tally, result: unknown): void {
  if (typeof result === 'string') countImagePayload(tally, result);
  else addPicture(tally, null);
}

const cheapTiers = new Set(['auto', 'default', 'standard', 'flex', 'batch']);

/** Counts the fields that OpenAI’s two APIs share. */
export function countShared(tally: Tally, body: JsonObject): void {
  // Newer models bill cache writes that the request did not ask for.
  tally.cacheWrite = body['prompt_cache_retention'] === '24h' ? '1h' : '5m';
  const tier = body['service_tier'];
  if (isGiven(tier) && !(typeof tier === 'string' && cheapTiers.has(tier))) {
    unbounded(tally, `service_tier ${JSON.stringify(tier).slice(0, 40)} may cost more than the standard price`);
  }
}

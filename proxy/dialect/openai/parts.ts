import type { Refusal } from '../../../core/errors.ts';
import { isObject, type JsonObject } from '../../../core/json.ts';
import { asObject, asString, badField, firstRefusal, isGiven } from '../fields.ts';
import { countAudio, countFileData, countImagePayload, countImageUrl } from '../media.ts';
import { addPicture, addStored, type Tally } from '../tally.ts';

/** Counts the content of a message or the output of a tool: text, or an array of parts that may be media. */
export function countContent(tally: Tally, content: unknown, field: string): Refusal | null {
  if (!isGiven(content) || typeof content === 'string') return null;
  if (!Array.isArray(content)) return badField(field, 'text or an array of parts');
  return firstRefusal(content, (part) => {
    if (typeof part === 'string') return null;
    if (!isObject(part)) return badField(field, 'text or an array of parts');
    countPart(tally, part);
    return null;
  });
}

/** Counts something that KeyForge does not know, but the provider may. */
export function countUnknown(tally: Tally): void {
  addStored(tally, 'text', 'image', 'audio', 'video', 'document');
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
  'tool_reference',
  'encrypted_content',
]);

/** Counts one part of a content. */
export function countPart(tally: Tally, part: JsonObject): void {
  countCaching(tally, part['cache_control']);
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
    case 'audio_url':
      addStored(tally, 'audio');
      return;
    case 'video_url':
      addStored(tally, 'video', 'audio');
      return;
    case 'file':
    case 'input_file':
      countFile(tally, asObject(part['file']) ?? part);
      return;
    default:
      countUnknown(tally);
  }
}

/** Counts a cache breakpoint of Anthropic's kind, which OpenRouter passes on. */
export function countCaching(tally: Tally, control: unknown): void {
  const ttl = asObject(control)?.['ttl'];
  if (isGiven(ttl) && ttl !== '5m') tally.cacheWrite = '1h';
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

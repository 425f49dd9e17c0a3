import { type JsonObject, scalarText } from '../../../core/json.ts';
import { asString, isGiven } from '../fields.ts';
import { countInline } from '../media.ts';
import { addMedia, addStored, notText, type Tally, unbounded } from '../tally.ts';
import { camelCase, type GeminiFields } from './fields.ts';

/** Everything that content of unknown kind may be. */
const anything = ['text', 'image', 'audio', 'video', 'document'] as const;

/** Notes content of which the request does not say the size. */
export function addAnything(tally: Tally): void {
  addStored(tally, ...anything);
}

/** Fields of a part that cost their own text, or nothing (googleapis/js-genai, `Part`). */
const textFields = new Set([
  'text',
  'thought',
  'thoughtSignature',
  'functionCall',
  'executableCode',
  'codeExecutionResult',
  'toolCall',
  'toolResponse',
  'audioTranscription',
  'speechMetadata',
  'videoMetadata',
  'partMetadata',
]);

/** Counts the media in a Content’s parts. A field that KeyForge does not know may be anything. */
export function countParts(tally: Tally, content: JsonObject | null, fields: GeminiFields): void {
  for (const part of fields.list(content, 'parts')) {
    for (const [name, value] of Object.entries(part)) if (isGiven(value)) countField(tally, part, camelCase(name), fields);
  }
}

function countField(tally: Tally, part: JsonObject, name: string, fields: GeminiFields): void {
  if (textFields.has(name)) return;
  switch (name) {
    case 'fileData':
      addAnything(tally);
      return;
    case 'inlineData':
      countInlineData(tally, fields.object(part, 'inlineData'), fields);
      return;
    case 'mediaResolution':
      countResolution(tally, fields.object(part, 'mediaResolution'), fields);
      return;
    case 'mediaProcessing':
      if (fields.get(part, 'mediaProcessing') === 'AGENTIC')
        unbounded(tally, 'agentic media processing reads the media any number of times');
      return;
    case 'functionResponse':
      countParts(tally, fields.object(part, 'functionResponse'), fields);
      return;
    default:
      addAnything(tally);
  }
}

/** Types whose bytes can only be what they say. Others may be of any kind, e.g. application/ogg. */
const plainTypes = /^(?:image|audio|video|text)\/|^application\/pdf$/;

function countInlineData(tally: Tally, inline: JsonObject | null, fields: GeminiFields): void {
  const data = asString(inline?.['data']);
  const type = (asString(fields.get(inline, 'mimeType')) ?? '').toLowerCase();
  if (data !== null && plainTypes.test(type)) countInline(tally, type, data);
  else {
    if (data !== null) notText(tally, data);
    addAnything(tally);
  }
}

/** Levels up to `HIGH` cost at most what a picture costs by default (ai.google.dev/gemini-api/docs/media-resolution). */
const plainLevels = /^(?:MEDIA_RESOLUTION_)?(?:UNSPECIFIED|LOW|MEDIUM|HIGH|[0-3])$/;
const ultraHighTokens = 2240;

function countResolution(tally: Tally, resolution: JsonObject | null, fields: GeminiFields): void {
  const level = fields.get(resolution, 'level');
  const asked = Number(scalarText(fields.get(resolution, 'numTokens') ?? 0));
  const tokens = Math.max(isGiven(level) && !plainLevels.test(scalarText(level)) ? ultraHighTokens : 0, asked);
  if (Number.isNaN(tokens)) unbounded(tally, 'the field mediaResolution.numTokens is not a number');
  else if (tokens > 0) addMedia(tally, 'image', tokens);
}

import type { Answer, BadRequest, Frame, Json, Prompt, SimulatedDialect } from '../types.ts';
import { allText, contentText, count, isObject, objects } from './read.ts';

/** POST /v1beta/models/{model}:generateContent and :streamGenerateContent?alt=sse. */
export const geminiGenerate: SimulatedDialect = {
  family: 'gemini',
  parse,
  json: (answer) => chunk(answer, parts(answer), { finish: true, used: true }),
  frames,
  errorFrame: () => data({ error: { code: 503, message: 'The model is overloaded. Please try again later.', status: 'UNAVAILABLE' } }),
};

function parse(body: Json, path: { readonly model?: string; readonly stream?: boolean }): Prompt | BadRequest {
  const contents = objects(body['contents']);
  if (contents.length === 0) return { badRequest: '* GenerateContentRequest.contents: contents is not specified', param: 'contents' };
  const given = field(body, 'generationConfig');
  const config = isObject(given) ? given : {};
  const lastUser = contents.findLast((each) => each['role'] === undefined || each['role'] === 'user');
  return {
    model: path.model ?? '',
    stream: path.stream === true,
    text: contentText(lastUser?.['parts']),
    everything: allText([
      field(body, 'systemInstruction'),
      body['contents'],
      body['tools'],
      field(config, 'responseSchema'),
      field(config, 'responseJsonSchema'),
    ]),
    maxOutputTokens: count(field(config, 'maxOutputTokens')),
    choices: count(field(config, 'candidateCount')) ?? 1,
    tools: objects(body['tools'])
      .flatMap((tool) => objects(field(tool, 'functionDeclarations')))
      .map((tool) => ({ name: String(tool['name']), schema: parametersOf(tool) })),
    toolChoice: toolChoice(field(body, 'toolConfig')),
    afterTool: objects(contents.at(-1)?.['parts']).some((part) => field(part, 'functionResponse') !== undefined),
    schema: schemaOf(config),
    wantsUsage: true,
    cacheWrite: 'none',
  };
}

/** A field in either spelling that protobuf's JSON takes; Python clients send some in snake case. */
function field(node: Json, name: string): unknown {
  return node[name] ?? node[name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)];
}

function parametersOf(tool: Json): unknown {
  return field(tool, 'parametersJsonSchema') ?? tool['parameters'] ?? { type: 'object' };
}

function toolChoice(value: unknown): Prompt['toolChoice'] {
  const config = isObject(value) ? field(value, 'functionCallingConfig') : undefined;
  const mode = isObject(config) ? config['mode'] : undefined;
  if (mode === 'NONE') return 'none';
  return mode === 'ANY' ? 'required' : 'auto';
}

function schemaOf(config: Json): unknown {
  if (field(config, 'responseMimeType') !== 'application/json') return undefined;
  return field(config, 'responseJsonSchema') ?? field(config, 'responseSchema') ?? true;
}

function parts(answer: Answer): readonly Json[] {
  return answer.toolCall === undefined
    ? [{ text: answer.pieces.join('') }]
    : [{ functionCall: { name: answer.toolCall.name, args: answer.toolCall.arguments } }];
}

function usage({ usage: used }: Answer): Json {
  return {
    promptTokenCount: used.input,
    candidatesTokenCount: used.output - used.reasoning,
    totalTokenCount: used.input + used.output,
    cachedContentTokenCount: used.cachedInput || undefined,
    thoughtsTokenCount: used.reasoning || undefined,
    promptTokensDetails: [{ modality: 'TEXT', tokenCount: used.input }],
  };
}

function chunk(answer: Answer, content: readonly Json[], last: { readonly finish: boolean; readonly used: boolean }): Json {
  const finish = last.finish ? { finishReason: answer.finish === 'length' ? 'MAX_TOKENS' : 'STOP' } : {};
  return {
    candidates: Array.from({ length: answer.choices }, (_, index) => ({ content: { parts: content, role: 'model' }, ...finish, index })),
    usageMetadata: last.used ? usage(answer) : undefined,
    modelVersion: answer.model,
    responseId: answer.id,
  };
}

function data(value: Json): string {
  return `data: ${JSON.stringify(value)}\r\n\r\n`;
}

function frames(answer: Answer): readonly Frame[] {
  const texts = answer.toolCall === undefined ? answer.pieces.slice(0, -1).map((text) => [{ text }]) : [];
  const last = answer.toolCall === undefined ? [{ text: answer.pieces.at(-1) ?? '' }] : parts(answer);
  return [
    ...texts.map((content): Frame => ({ kind: 'token', text: data(chunk(answer, content, { finish: false, used: false })) })),
    { kind: 'token', text: data(chunk(answer, last, { finish: false, used: false })) },
    { kind: 'usage', text: data(chunk(answer, [{ text: '' }], { finish: true, used: true })) },
  ];
}

import type { JsonObject } from '../../../core/json.ts';
import { asObject, isGiven } from '../fields.ts';
import { type Tally, unbounded } from '../tally.ts';

// Top-level fields of requests, each judged once. A dialect reads its governing fields. The fields named here are free: they
// change neither the number of answers nor the output limit, and they add no more text than their own bytes. Sources: the
// request types of openai 7.55 (npm), vllm-project/vllm and sgl-project/sglang (entrypoints/openai), ollama/ollama
// (openai/openai.go), ggml-org/llama.cpp (tools/server/README.md), OpenRouterTeam/typescript-sdk (models/chatrequest.ts) and
// mistralai/client-python (docs/models/chatcompletionrequest.md). A field in no list is unjudged: compatible servers may bill
// for it. judged.test.ts lists what each of these servers reads.

/** How the next token is chosen, and where the answer ends. */
const sampling = [
  ...['temperature', 'top_p', 'top_k', 'min_p', 'top_a', 'typical_p', 'seed', 'random_seed', 'samplers', 'logit_bias'],
  ...['frequency_penalty', 'presence_penalty', 'repetition_penalty', 'repeat_penalty', 'repeat_last_n', 'length_penalty'],
  ...['dynatemp_range', 'dynatemp_exponent', 'mirostat', 'mirostat_tau', 'mirostat_eta', 'xtc_probability', 'xtc_threshold'],
  ...['dry_multiplier', 'dry_base', 'dry_allowed_length', 'dry_penalty_last_n', 'dry_sequence_breakers', 'min_keep'],
  ...['stop', 'stop_token_ids', 'stop_regex', 'bad_words', 'allowed_token_ids', 'ignore_eos', 'min_tokens', 'repetition_detection'],
  ...['regex', 'ebnf', 'grammar', 'json_schema', 'structured_outputs', 'guided_json', 'guided_regex', 'guided_choice'],
  ...['guided_grammar', 'guided_decoding_backend', 'guided_whitespace_pattern', 'thinking_token_budget', 'verbosity'],
  ...['watermarking', 'n_indent', 'reasoning_control'],
];

/** What the answer shows beside its text. */
const shown = [
  ...['logprobs', 'top_logprobs', 'prompt_logprobs', 'n_probs', 'post_sampling_probs', 'include', 'include_reasoning'],
  ...['include_stop_str_in_output', 'skip_special_tokens', 'spaces_between_special_tokens', 'no_stop_trim', 'return_tokens'],
  ...['return_token_ids', 'return_tokens_as_token_ids', 'return_token_offsets', 'return_prompt_text', 'return_prompt_token_ids'],
  ...['return_assistant_tokens_mask', 'return_cached_tokens_details', 'return_hidden_states', 'return_meta_info', 'return_progress'],
  ...['separate_reasoning', 'stream_reasoning', 'reasoning_format', 'parse_tool_calls', 'timings_per_token', 'response_fields', 'usage'],
  ...['logprob_token_ids', 'return_routed_experts', 'routed_experts_start_len', 'routed_experts_prompt_start', 'return_mm_kwargs'],
  ...['stream_interval', 'sse_ping_interval', 'enable_response_messages'],
];

/**
 * How the request is read, labelled, cached and scheduled. `session_id` only names a session: "unlike session_params, this does not
 * alter or reconstruct the prompt" (sglang, srt/managers/io_struct.py). `task` adds one token (sglang).
 */
const handling = [
  ...['user', 'metadata', 'store', 'safety_identifier', 'moderation', 'trace', 'debug', 'user_security_context', 'access_programs'],
  ...['request_id', 'rid', 'extra_key', 'cache_salt', 'cache_prompt', 'id_slot', 'priority', 'prompt_cache_key', 't_max_predict_ms'],
  ...['tool_choice', 'parallel_tool_calls', 'function_call', 'add_generation_prompt', 'continue_final_message', 'add_special_tokens'],
  ...['truncate_prompt_tokens', 'truncation_side', 'truncation', 'transforms', 'n_keep', 'documents', 'input_ids'],
  ...['session_id', 'task', 'n_cache_reuse'],
];

/** Free in chat completions. */
export const freeInChat: ReadonlySet<string> = new Set([...sampling, ...shown, ...handling, 'audio']);

/** Free in Responses. */
export const freeInResponses: ReadonlySet<string> = new Set([...sampling, ...shown, ...handling, 'stream_options', 'personality']);

/** Free in text completions. */
export const freeInCompletions: ReadonlySet<string> = new Set([...sampling, ...shown, ...handling]);

/** Free in embeddings. */
export const freeInEmbeddings: ReadonlySet<string> = new Set([
  ...handling,
  ...['dimensions', 'encoding_format', 'output_dimension', 'output_dtype', 'truncate', 'normalize'],
]);

const searches = 'makes the provider search, and adds text of any size';
const pictureSize = 'changes how many tokens a picture has';
const otherLimit = 'is a limit that not every server reads; use the field of the API';

/** Why a field has no bound. `false` turns it off. */
const refused: Readonly<Record<string, string>> = {
  // learn.microsoft.com/azure/ai-foundry/openai/references/on-your-data
  data_sources: searches,
  dataSources: searches,
  // docs.x.ai/docs/guides/live-search
  search_parameters: searches,
  // alibabacloud.com/help/en/model-studio/qwen-api-reference
  enable_search: searches,
  search_options: searches,
  enable_thinking: 'makes some models think beyond the output limit',
  // Azure's vision enhancements of GPT-4 Turbo.
  enhancements: 'runs further models at the provider',
  // Google's OpenAI endpoint reads fields of its own from here: ai.google.dev/gemini-api/docs/openai
  extra_body: 'may hold any other field',
  google: 'may refer to stored text of any size',
  cached_content: 'refers to stored text of any size',
  cachedContent: 'refers to stored text of any size',
  generationConfig: 'may hold any other field',
  generation_config: 'may hold any other field',
  session_params: 'continues a session that the server stores',
  // "No fixed limit on … the total number of subagents created during a run": openai (npm), beta/responses.
  multi_agent: 'runs further agents',
  // docs.mistral.ai/studio/safety-moderation: a moderation model reads the input. No page says who pays for it.
  guardrails: 'runs a moderation model of its own price',
  // docs.x.ai/docs/guides/deferred-chat-completions
  deferred: 'reports its usage only later',
  use_beam_search: 'computes more answers than it returns',
  num_return_sequences: 'asks for more answers; use n',
  // llama.cpp
  n_cmpl: 'asks for more answers; use n',
  chat_template: 'can repeat text any number of times',
  // docs.mistral.ai/capabilities/reasoning: the provider adds a system prompt.
  prompt_mode: 'adds a prompt of the provider’s own',
  // Responses: `context_compression` of pictures.
  image: pictureSize,
  // OpenRouter: the size of pictures in the answer.
  image_config: pictureSize,
  mm_processor_kwargs: pictureSize,
  media_io_kwargs: pictureSize,
  images_config: pictureSize,
  max_dynamic_patch: pictureSize,
  min_dynamic_patch: pictureSize,
  use_audio_in_video: 'changes how many tokens a video has',
  // llama.cpp prefers it to max_tokens.
  n_predict: otherLimit,
  num_predict: otherLimit,
  max_new_tokens: otherLimit,
  max_length: otherLimit,
  maxOutputTokens: otherLimit,
  max_tokens: otherLimit,
  max_completion_tokens: otherLimit,
  max_output_tokens: otherLimit,
};

// openrouter.ai/docs/features/provider-routing: these narrow the hosts by how they work. The others choose among hosts of
// different prices, while KeyForge knows the price that OpenRouter lists.
const freeRouting: ReadonlySet<string> = new Set([
  'allow_fallbacks',
  'require_parameters',
  'data_collection',
  'zdr',
  'enforce_distillable_text',
  'max_price',
  'preferred_min_throughput',
  'preferred_max_latency',
]);

function choosesHost(body: JsonObject): boolean {
  const routing = asObject(body['provider']) ?? {};
  return Object.keys(routing).some((name) => isGiven(routing[name]) && !freeRouting.has(name));
}

/** No pool can name a longer field. */
const maxName = 128;

/** Judges the fields that a dialect does not read itself. Returns those that nobody has judged. */
export function judgeFields(
  tally: Tally,
  body: JsonObject,
  { governing, free }: { readonly governing: ReadonlySet<string>; readonly free: ReadonlySet<string> },
): readonly string[] {
  const unjudged = choosesHost(body) ? ['provider'] : [];
  for (const name in body) {
    const value = body[name];
    if (governing.has(name) || free.has(name) || !isGiven(value)) continue;
    const reason = Object.hasOwn(refused, name) ? refused[name] : undefined;
    if (reason === undefined) unjudged.push(name.length > maxName ? `${name.slice(0, maxName)}…` : name);
    else if (value !== false) unbounded(tally, `the field ${name} ${reason}`);
  }
  return unjudged;
}

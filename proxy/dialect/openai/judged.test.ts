import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ResponseCreateParamsBase as BetaResponse } from 'openai/resources/beta/responses/responses';
import type { ChatCompletionCreateParamsBase } from 'openai/resources/chat/completions';
import type { EmbeddingCreateParams } from 'openai/resources/embeddings';
import type { ResponseCreateParamsBase } from 'openai/resources/responses/responses';
import { isRefusal } from '../../../core/errors.ts';
import { readBody } from '../json.ts';
import type { Dialect } from '../types.ts';
import { openaiChat } from './chat.ts';
import { openaiEmbeddings } from './embeddings.ts';
import { openaiResponses } from './responses/responses.ts';

const minimal = new Map<Dialect, object>([
  [openaiChat, { model: 'gpt-6', messages: [{ role: 'user', content: 'Hi' }] }],
  [openaiResponses, { model: 'gpt-6', input: 'Hi' }],
  [openaiEmbeddings, { model: 'embed', input: ['Hi'] }],
]);

type Judgement = 'free' | 'no bound' | 'unjudged' | 'read';

/** `read`: a governing field, which refuses a value of the wrong type. */
function judgement(dialect: Dialect, name: string): Judgement {
  const body = readBody(Buffer.from(JSON.stringify({ ...minimal.get(dialect), [name]: 1.5 })));
  if ('problem' in body) throw new Error(body.problem);
  const facts = dialect.read(body, {}, {});
  if (isRefusal(facts)) return 'read';
  if (facts.unjudged.includes(name)) return 'unjudged';
  return facts.demand.unmeterable === undefined ? 'free' : 'no bound';
}

function judged(dialect: Dialect, names: readonly string[], expected: Judgement): void {
  assert.deepEqual(
    names.filter((name) => judgement(dialect, name) !== expected),
    [],
    `${dialect.id}: ${expected}`,
  );
}

// The compiler refuses these tables as soon as OpenAI's library knows a field that they do not.
const ofChat: Readonly<Record<keyof ChatCompletionCreateParamsBase, Judgement>> = {
  messages: 'read',
  model: 'read',
  audio: 'free',
  frequency_penalty: 'free',
  function_call: 'free',
  functions: 'read',
  logit_bias: 'free',
  logprobs: 'free',
  max_completion_tokens: 'read',
  max_tokens: 'read',
  metadata: 'free',
  modalities: 'read',
  moderation: 'free',
  n: 'read',
  parallel_tool_calls: 'free',
  prediction: 'read',
  presence_penalty: 'free',
  prompt_cache_key: 'free',
  prompt_cache_options: 'read',
  prompt_cache_retention: 'read',
  reasoning_effort: 'read',
  response_format: 'read',
  safety_identifier: 'free',
  seed: 'free',
  service_tier: 'read',
  stop: 'free',
  store: 'free',
  stream: 'read',
  stream_options: 'read',
  temperature: 'free',
  tool_choice: 'free',
  tools: 'read',
  top_logprobs: 'free',
  top_p: 'free',
  user: 'free',
  verbosity: 'free',
  web_search_options: 'read',
};

/** `betas` is a header. */
const ofResponses: Readonly<Record<Exclude<keyof ResponseCreateParamsBase | keyof BetaResponse, 'betas'>, Judgement>> = {
  access_programs: 'free',
  background: 'read',
  context_management: 'read',
  conversation: 'read',
  image: 'no bound',
  include: 'free',
  input: 'read',
  instructions: 'read',
  max_output_tokens: 'read',
  max_tool_calls: 'read',
  metadata: 'free',
  model: 'read',
  moderation: 'free',
  multi_agent: 'no bound',
  parallel_tool_calls: 'free',
  previous_response_id: 'read',
  prompt: 'read',
  prompt_cache_key: 'free',
  prompt_cache_options: 'read',
  prompt_cache_retention: 'read',
  reasoning: 'read',
  safety_identifier: 'free',
  service_tier: 'read',
  store: 'free',
  stream: 'read',
  stream_options: 'free',
  temperature: 'free',
  text: 'read',
  tool_choice: 'free',
  tools: 'read',
  top_logprobs: 'free',
  top_p: 'free',
  truncation: 'free',
  user: 'free',
};

const ofEmbeddings: Readonly<Record<keyof EmbeddingCreateParams, Judgement>> = {
  input: 'read',
  model: 'read',
  dimensions: 'free',
  encoding_format: 'free',
  user: 'free',
};

for (const [dialect, table] of [
  [openaiChat, ofChat],
  [openaiResponses, ofResponses],
  [openaiEmbeddings, ofEmbeddings],
] as const) {
  test(`every field of OpenAI’s request type is judged: ${dialect.id}`, () => {
    const found = Object.fromEntries(Object.keys(table).map((name) => [name, judgement(dialect, name)]));
    assert.deepEqual(found, table);
  });
}

test('fields of vLLM’s chat request are judged, except those for extensions and for servers that share a cache', () => {
  judged(
    openaiChat,
    [
      ...['thinking_token_budget', 'include_reasoning', 'top_k', 'min_p', 'repetition_penalty', 'watermarking', 'length_penalty'],
      ...['stop_token_ids', 'include_stop_str_in_output', 'ignore_eos', 'min_tokens', 'skip_special_tokens', 'bad_words'],
      ...['spaces_between_special_tokens', 'truncate_prompt_tokens', 'truncation_side', 'prompt_logprobs', 'logprob_token_ids'],
      ...['allowed_token_ids', 'add_generation_prompt', 'continue_final_message', 'add_special_tokens', 'documents'],
      ...['structured_outputs', 'priority', 'request_id', 'session_id', 'return_tokens_as_token_ids', 'return_token_ids'],
      ...['routed_experts_prompt_start', 'return_token_offsets', 'return_prompt_text', 'return_mm_kwargs', 'cache_salt'],
      ...['repetition_detection', 'stream_interval'],
    ],
    'free',
  );
  judged(openaiChat, ['use_beam_search', 'chat_template', 'media_io_kwargs', 'mm_processor_kwargs'], 'no bound');
  judged(openaiChat, ['chat_template_kwargs'], 'read');
  // `echo` returns the caller's own text as part of the answer.
  judged(openaiChat, ['echo', 'kv_transfer_params', 'ec_transfer_params', 'vllm_xargs'], 'unjudged');
  judged(openaiResponses, ['enable_response_messages', 'request_id', 'cache_salt', 'structured_outputs', 'stop', 'ignore_eos'], 'free');
  // They hold earlier messages in a form of the server's own.
  judged(openaiResponses, ['previous_input_messages', 'previous_response', 'vllm_xargs'], 'unjudged');
});

test('fields of SGLang’s chat request are judged, except those that run code or share a cache between servers', () => {
  judged(
    openaiChat,
    [
      ...['return_hidden_states', 'return_routed_experts', 'routed_experts_start_len', 'return_cached_tokens_details'],
      ...['return_prompt_token_ids', 'return_token_ids', 'return_meta_info', 'task', 'min_tokens', 'regex', 'ebnf', 'stop_regex'],
      ...['no_stop_trim', 'session_id', 'separate_reasoning', 'stream_reasoning', 'input_ids', 'rid', 'extra_key'],
    ],
    'free',
  );
  judged(openaiChat, ['session_params', 'max_dynamic_patch', 'min_dynamic_patch', 'images_config', 'use_audio_in_video'], 'no bound');
  judged(openaiChat, ['lora_path'], 'read');
  judged(
    openaiChat,
    ['custom_logit_processor', 'custom_params', 'ngram_corpus_id', 'bootstrap_host', 'bootstrap_room', 'routed_dp_rank'],
    'unjudged',
  );
});

test('fields of llama.cpp, Ollama, OpenRouter and Mistral are judged', () => {
  // tools/server/README.md, /completion, whose options chat takes as well. `lora` chooses adapters.
  judged(
    openaiChat,
    [
      ...['dynatemp_range', 'dynatemp_exponent', 'n_indent', 'n_keep', 'n_cache_reuse', 'typical_p', 'repeat_penalty', 'repeat_last_n'],
      ...['dry_multiplier', 'dry_base', 'dry_allowed_length', 'dry_penalty_last_n', 'dry_sequence_breakers', 'xtc_probability'],
      ...['xtc_threshold', 'mirostat', 'mirostat_tau', 'mirostat_eta', 'grammar', 'json_schema', 'n_probs', 'min_keep'],
      ...['t_max_predict_ms', 'id_slot', 'cache_prompt', 'return_tokens', 'samplers', 'timings_per_token', 'return_progress'],
      ...['sse_ping_interval', 'post_sampling_probs', 'response_fields', 'reasoning_format', 'reasoning_control'],
    ],
    'free',
  );
  judged(openaiChat, ['n_predict', 'n_cmpl'], 'no bound');
  judged(openaiChat, ['lora'], 'unjudged');
  // ollama/ollama, openai/openai.go
  judged(openaiChat, ['_debug_render_only'], 'unjudged');
  // OpenRouterTeam/typescript-sdk, models/chatrequest.ts
  judged(openaiChat, ['debug', 'session_id', 'trace', 'metadata', 'transforms', 'usage'], 'free');
  judged(openaiChat, ['image_config'], 'no bound');
  // mistralai/client-python, docs/models/chatcompletionrequest.md
  judged(openaiChat, ['random_seed', 'prompt_cache_key'], 'free');
  judged(openaiChat, ['guardrails', 'prompt_mode'], 'no bound');
  judged(openaiChat, ['safe_prompt'], 'read');
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MessageCreateParamsBase as BetaMessage } from '@anthropic-ai/sdk/resources/beta/messages/messages';
import type { MessageCreateParamsBase } from '@anthropic-ai/sdk/resources/messages/messages';
import { isRefusal } from '../../../core/errors.ts';
import { readBody } from '../json.ts';
import { anthropicMessages } from './messages.ts';

type Headers = 'betas' | 'user_profile_id' | 'workspace_id';

// The compiler refuses this table as soon as Anthropic's library knows a field that it does not.
const fields: Readonly<Record<Exclude<keyof MessageCreateParamsBase | keyof BetaMessage, Headers>, 'judged'>> = {
  max_tokens: 'judged',
  messages: 'judged',
  model: 'judged',
  billing_policy: 'judged',
  cache_control: 'judged',
  compaction: 'judged',
  container: 'judged',
  context_management: 'judged',
  diagnostics: 'judged',
  fallback_credit_token: 'judged',
  fallbacks: 'judged',
  inference_geo: 'judged',
  mcp_servers: 'judged',
  metadata: 'judged',
  output_config: 'judged',
  output_format: 'judged',
  service_tier: 'judged',
  speed: 'judged',
  stop_sequences: 'judged',
  stream: 'judged',
  system: 'judged',
  thinking: 'judged',
  thread: 'judged',
  tool_choice: 'judged',
  tools: 'judged',
};

test('every field of Anthropic’s request type is judged', () => {
  for (const name of Object.keys(fields)) {
    const body = readBody(Buffer.from(JSON.stringify({ model: 'claude', max_tokens: 9, messages: [], [name]: 1.5 })));
    if ('problem' in body) throw new Error(body.problem);
    const facts = anthropicMessages.read(body, {}, {});
    // A field that is read refuses a value of the wrong type.
    if (!isRefusal(facts)) assert.deepEqual(facts.unjudged, [], name);
  }
});

// The provider of a siege. Each model that attackers call has its own way to fail. `node bench/siege/provider.ts` prints its URL, and its bill by model at SIGTERM.
import { writeSync } from 'node:fs';
import { startSimulation } from '../../simulator/provider.ts';

/** Bytes of an answer that no proxy should hold whole. */
const largeBytes = 24 * 1024 * 1024;

const json = { 'content-type': 'application/json' };
const provider = await startSimulation({ credentials: ['sk-bench'], keepCalls: 10, conditions: { msPerToken: 2 } });
for (const model of ['gpt-5.4', 'siege-heavy']) provider.rule({ model, conditions: { delayMs: 8000 } });
provider.rule({ model: 'gemini-2.5-flash', conditions: { msPerToken: 100, outputTokens: 200 } });
provider.rule({
  path: '/v1/embeddings',
  fault: {
    ...{ kind: 'answer', status: 401, headers: json },
    body: '{"error":{"message":"You have insufficient permissions for this operation. Missing scopes: api.embeddings.write","type":"invalid_request_error","param":null,"code":null}}',
  },
});
provider.rule({
  model: 'claude-sonnet-5',
  fault: {
    ...{ kind: 'answer', status: 429, headers: json },
    body: '{"type":"error","error":{"type":"rate_limit_error","message":"Extra usage is required for long context requests."}}',
  },
});
provider.rule({
  model: 'gpt-5.6-luna',
  fault: {
    ...{ kind: 'answer', status: 200, headers: json },
    body: Buffer.from(
      JSON.stringify({
        ...{ id: 'chatcmpl-large', object: 'chat.completion', created: 1_780_000_000, model: 'gpt-5.6-luna' },
        choices: [{ index: 0, message: { role: 'assistant', content: 'x'.repeat(largeBytes) }, finish_reason: 'stop' }],
        usage: { prompt_tokens: 10, completion_tokens: 10, total_tokens: 20 },
      }),
    ),
  },
});

process.on('SIGTERM', () => {
  const bill = Object.entries(provider.bill().byModel).map(([model, { pico }]) => [model, Number(pico) / 1e12]);
  writeSync(1, `${JSON.stringify(Object.fromEntries(bill))}\n`);
  process.exit(0);
});
process.stdout.write(`${provider.url}\n`);

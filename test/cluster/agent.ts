import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import type { Ask, Outcome, Refusal } from './agent-pod.ts';

// An agent as anyone writes one: the SDKs as they are published, configured by nothing but the environment. `once` makes one
// call, as a Job does; else it serves on :8080 what the tests ask of it.

async function call({ sdk = 'openai', content, maxTokens = 64, stream = false, retries = 2, token }: Ask): Promise<Outcome> {
  const options = { maxRetries: retries, ...(token !== undefined && { apiKey: token }) };
  const messages = [{ role: 'user' as const, content }];
  try {
    if (sdk === 'anthropic') {
      const body = { model: 'claude-haiku-4-5', max_tokens: maxTokens, messages };
      const client = new Anthropic(options);
      const message = stream ? await client.messages.stream(body).finalMessage() : await client.messages.create(body);
      return { ok: true, text: message.content.map((block) => (block.type === 'text' ? block.text : '')).join('') };
    }
    const body = { model: 'gpt-5.4-mini', max_completion_tokens: maxTokens, messages };
    const client = new OpenAI(options);
    if (!stream) {
      const answer = await client.chat.completions.create(body);
      return { ok: true, text: answer.choices[0]?.message.content ?? '' };
    }
    let text = '';
    for await (const chunk of await client.chat.completions.create({ ...body, stream })) text += chunk.choices[0]?.delta.content ?? '';
    return { ok: true, text };
  } catch (error) {
    const { status, code, message } = error as { readonly status?: number; readonly code?: string | null; readonly message: string };
    return { ok: false, status: status ?? 0, code: code ?? '', message };
  }
}

/** Each of `parallel` callers makes `times` calls, one after the other. */
async function callMany(ask: Ask): Promise<readonly Outcome[]> {
  const { times = 1, parallel = 1 } = ask;
  const outcomes: Outcome[] = [];
  const caller = async (): Promise<void> => {
    for (let made = 0; made < times; made += 1) outcomes.push(await call(ask));
  };
  await Promise.all(Array.from({ length: parallel }, caller));
  return outcomes;
}

let load: { stopping: boolean; readonly outcomes: Promise<readonly Outcome[]> } | null = null;

function startLoad(ask: Ask): void {
  const outcomes: Outcome[] = [];
  const started = { stopping: false, outcomes: run() };
  async function run(): Promise<readonly Outcome[]> {
    await pause(0);
    const caller = async (): Promise<void> => {
      while (!started.stopping) {
        outcomes.push(await call(ask));
        await pause(20);
      }
    };
    await Promise.all(Array.from({ length: ask.parallel ?? 1 }, caller));
    return outcomes;
  }
  load = started;
}

/** Calls every few milliseconds: sends the headers once a call was served, the body once one was refused. */
async function pollUntilRefused(ask: Ask, response: ServerResponse): Promise<void> {
  while (!response.closed) {
    const outcome = await call({ ...ask, retries: 0 });
    if (outcome.ok && !response.headersSent) response.writeHead(200).flushHeaders();
    if (!outcome.ok && response.headersSent) {
      const refusal: Refusal = { ...outcome, atMs: Date.now() };
      response.end(JSON.stringify(refusal));
      return;
    }
    await pause(4);
  }
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let text = '';
  for await (const part of request) text += String(part);
  const ask = (text === '' ? { content: '' } : JSON.parse(text)) as Ask;
  if (request.url === '/call') response.end(JSON.stringify(await callMany(ask)));
  else if (request.url === '/poll') await pollUntilRefused(ask, response);
  else if (request.url === '/load') {
    startLoad(ask);
    response.end();
  } else if (request.url === '/stop' && load !== null) {
    load.stopping = true;
    response.end(JSON.stringify(await load.outcomes));
  } else response.end();
}

async function lastWords(): Promise<void> {
  // Whatever would end together with this container has ended by now.
  await pause(500);
  console.log(`last words: ${JSON.stringify(await call({ content: `last words of ${process.env['HOSTNAME']}`, retries: 0 }))}`);
  process.exit(0);
}

if (process.argv.includes('once')) {
  const outcome = await call({ content: `work of ${process.env['HOSTNAME']}` });
  console.log(JSON.stringify(outcome));
  process.exit(outcome.ok ? 0 : 1);
}
process.on('SIGTERM', () => void lastWords());
createServer((request, response) => void answer(request, response)).listen(8080);

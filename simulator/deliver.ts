import type { ServerResponse } from 'node:http';
import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises';
import type { Conditions, Fault, StreamFault } from './faults.ts';
import type { Frame, Json } from './types.ts';

/** Sends a whole JSON answer. */
export async function deliverJson(response: ServerResponse, body: Json, conditions: Conditions): Promise<void> {
  const { usage: _, usageMetadata: __, ...rest } = body as Record<string, unknown>;
  const bytes = Buffer.from(JSON.stringify(conditions.noUsage === true ? rest : body));
  response.setHeader('content-type', 'application/json');
  if (conditions.chunkSeed === undefined) response.setHeader('content-length', bytes.length);
  await write(response, bytes, conditions.chunkSeed);
  response.end();
}

/** Sends a stream, frame by frame; breaks off where the fault says. */
export async function deliverFrames(
  response: ServerResponse,
  frames: readonly Frame[],
  how: { readonly conditions: Conditions; readonly fault: Fault | undefined; readonly errorFrame: string },
): Promise<void> {
  response.setHeader('content-type', 'text/event-stream; charset=utf-8');
  response.flushHeaders();
  const { msPerToken = 0, chunkSeed, noUsage } = how.conditions;
  const breaking = how.fault !== undefined && 'afterFrames' in how.fault ? how.fault : undefined;
  let sent = 0;
  for (const frame of frames) {
    if (breaking !== undefined && sent >= breaking.afterFrames) return breakOff(response, breaking, how.errorFrame);
    if (noUsage === true && frame.kind === 'usage') continue;
    if (frame.kind === 'token' && msPerToken > 0) await pause(msPerToken);
    if (response.destroyed) return undefined;
    await write(response, Buffer.from(frame.text), chunkSeed === undefined ? undefined : chunkSeed + sent);
    sent += 1;
  }
  response.end();
}

async function breakOff(response: ServerResponse, { kind }: StreamFault, errorFrame: string): Promise<void> {
  await turn();
  switch (kind) {
    case 'hang_mid_stream':
      return;
    case 'reset_mid_stream':
      response.socket?.resetAndDestroy();
      return;
    case 'cut_mid_stream':
      response.end();
      return;
    case 'error_event':
      response.end(errorFrame);
      return;
  }
}

async function write(response: ServerResponse, bytes: Buffer, seed: number | undefined): Promise<void> {
  for (const chunk of seed === undefined ? [bytes] : shred(bytes, seed)) {
    if (response.destroyed) return;
    if (!response.write(chunk)) await drained(response);
    if (seed !== undefined) await turn();
  }
}

/** Resolves when the socket takes more, or is gone. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.once('drain', done);
    response.once('close', done);
  });
}

/** Cuts bytes into pieces of 1 to 40, at places that depend on the seed alone. */
function* shred(bytes: Buffer, seed: number): Generator<Buffer> {
  let state = (seed * 2_654_435_761) >>> 0;
  for (let at = 0; at < bytes.length; ) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const size = 1 + ((state >>> 16) % 40);
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

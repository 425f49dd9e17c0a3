import { setTimeout as pause } from 'node:timers/promises';
import type { PlannedCall, Shape } from './types.ts';

/** How one call ended for the agent. */
export type Reply =
  | { readonly kind: 'answer'; readonly stoppedByLimit: boolean; readonly lowered: boolean }
  | { readonly kind: 'refusal'; readonly code: string; readonly message: string };

/** The official SDKs' `maxRetries`. */
const maxRetries = 2;

interface Caller {
  readonly url: string;
  readonly token: string;
  /** Called before each retry. */
  readonly onWait: () => void;
}

/** Makes a call as the official SDKs do: they retry what `x-should-retry` or the status says, twice, after `retry-after`. */
export async function ask({ url, token, onWait }: Caller, { path }: Shape, { body }: PlannedCall): Promise<Reply> {
  const payload = JSON.stringify(body);
  for (let attempt = 0; ; attempt += 1) {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}`, 'anthropic-version': '2023-06-01' };
    const response = await fetch(`${url}${path}`, { method: 'POST', headers, body: payload });
    const text = await response.text();
    if (response.ok) {
      // A stream that fails ends with an error event.
      const failed = /"type":"error"|^data: \{"error"/m.exec(text);
      if (failed !== null) return { kind: 'refusal', code: 'broken_stream', message: text.slice(failed.index, failed.index + 300) };
      return {
        kind: 'answer',
        stoppedByLimit: /"(?:stop|finish)_reason":"(?:max_tokens|length)"/.test(text),
        lowered: /output limit/.test(response.headers.get('x-keyforge-warnings') ?? ''),
      };
    }
    if (attempt === maxRetries || !isRetryable(response))
      return { kind: 'refusal', code: /"code":"(\w+)"/.exec(text)?.[1] ?? String(response.status), message: text.slice(0, 400) };
    onWait();
    await pause(delayMs(response, attempt));
  }
}

function isRetryable({ status, headers }: Response): boolean {
  const told = headers.get('x-should-retry');
  return told === null ? [408, 409, 429].includes(status) || status >= 500 : told === 'true';
}

function delayMs({ headers }: Response, attempt: number): number {
  const seconds = Number(headers.get('retry-after') ?? 0);
  return seconds > 0 ? seconds * 1000 : 500 * 2 ** attempt;
}

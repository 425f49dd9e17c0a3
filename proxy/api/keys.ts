import type { IncomingMessage } from 'node:http';
import { isRefusal, type Refusal, refuse } from '../../core/errors.ts';
import { defined } from '../../core/json.ts';
import { count, positiveDuration, positiveUsd } from '../../core/manifest/quantity.ts';
import { formatPath, list, object, readWhole, text } from '../../core/manifest/reader.ts';
import { formatUsd } from '../../core/money.ts';
import { childKeyName, type KeyName, keyName, namespaceOf, storedKey } from '../../core/names.ts';
import type { KeyDocument } from '../../core/policy/documents.ts';
import type { ChildSpec, ChildView } from '../../core/protocol/children.ts';
import type { ControlPort } from '../../core/protocol/control.ts';
import { readBody } from '../dialect/json.ts';
import { receive } from '../stages/receive.ts';

/** A sub-agent key in the answers to its parent's agent. Dollars are decimals. */
interface SubAgentKey {
  readonly name: KeyName;
  readonly keyHint: string;
  readonly expiresAt?: string;
  readonly capUsd?: string;
  readonly spentUsd: string;
}

const maxBodyBytes = 64 * 1024;

/** `GET /keyforge/v1/keys`. */
export async function listKeys(
  control: Pick<ControlPort, 'children'>,
  { key }: KeyDocument,
): Promise<{ readonly keys: readonly SubAgentKey[] }> {
  return { keys: (await control.children(key)).map(subAgentKey) };
}

/** `POST /keyforge/v1/keys`. Only this answer contains the token. */
export async function createKey(
  control: Pick<ControlPort, 'mint'>,
  { key }: KeyDocument,
  request: IncomingMessage,
): Promise<({ readonly key: string } & SubAgentKey) | Refusal> {
  const bytes = await receive(request, { limitBytes: maxBodyBytes });
  if (bytes === null || isRefusal(bytes)) return bytes ?? refuse('invalid_request', 'The request ended early.');
  const spec = readSpec(bytes);
  if (isRefusal(spec)) return spec;
  const reply = await control.mint(key, spec);
  if ('denial' in reply) return refuse(reply.denial.code, reply.denial.message);
  return { key: reply.token, ...subAgentKey(reply.child) };
}

/** `DELETE /keyforge/v1/keys/{name}`: by the name it was created with, its own name or `namespace/name`. */
export async function deleteKey(
  control: Pick<ControlPort, 'unmint'>,
  { key }: KeyDocument,
  child: string,
): Promise<{ readonly deleted: KeyName } | Refusal> {
  const names = child.includes('/') ? [storedKey(child)] : [childKeyName(key, child), keyName(namespaceOf(key), child)];
  for (const name of names) if (await control.unmint(key, name)) return { deleted: name };
  return refuse('not_found', `${key} has no sub-agent key ${JSON.stringify(child)}.`);
}

function subAgentKey({ key, keyHint, expiresAt, capNanoUsd, spentNanoUsd }: ChildView): SubAgentKey {
  return {
    name: key,
    keyHint,
    ...defined({ expiresAt, capUsd: capNanoUsd === undefined ? undefined : formatUsd(Number(capNanoUsd)) }),
    spentUsd: formatUsd(Number(spentNanoUsd)),
  };
}

const readFields = object(
  {},
  {
    name: text,
    usd: positiveUsd,
    requests: count,
    ttl: positiveDuration,
    models: list(text),
    endpoints: list(text),
    outputTokens: count,
    delegation: object({ maxDepth: count, maxChildren: count }, {}),
  },
);

function readSpec(bytes: Buffer): ChildSpec | Refusal {
  const body = readBody(bytes);
  if ('problem' in body) return refuse('invalid_request', body.problem);
  const { value, findings } = readWhole(readFields, body.value);
  if (value === undefined) {
    const problems = findings.map(({ path, message }) => `${formatPath(path)}: ${message}`);
    return refuse('invalid_request', `The sub-agent key is not valid: ${problems.join('; ')}.`);
  }
  const { usd, ttl, ...rest } = value;
  return { ...rest, ...defined({ usdNano: usd, ttlMs: ttl }) };
}

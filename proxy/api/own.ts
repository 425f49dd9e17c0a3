import { isRefusal, type Refusal, refuse } from '../../core/errors.ts';
import { count, positiveDuration, positiveUsd } from '../../core/manifest/quantity.ts';
import { formatPath, list, object, rootPlace, text } from '../../core/manifest/reader.ts';
import { formatUsd } from '../../core/money.ts';
import { childKeyName, keyName, namespaceOf, storedKey } from '../../core/names.ts';
import { checkKey } from '../../core/policy/check.ts';
import type { KeyDocument, PoolDocument } from '../../core/policy/documents.ts';
import { listModels } from '../../core/policy/route.ts';
import type { ChildSpec, ChildView } from '../../core/protocol/children.ts';
import { ControlUnavailable } from '../../core/protocol/control.ts';
import type { Io, Line } from '../deps.ts';
import { readBody } from '../dialect/json.ts';
import type { OwnRoute } from '../dialect/routes.ts';
import { dialectsOf } from '../dialect/table.ts';
import type { Family } from '../dialect/types.ts';
import { providerOf } from '../provider/table.ts';
import type { Caller } from '../stages/authenticate.ts';
import { receive } from '../stages/receive.ts';
import { respondJson, respondRefusal } from '../stages/respond.ts';

type Answer = { readonly status: number; readonly value: unknown };

/** What KeyForge answers by itself: the models of this key, where it stands, its sub-agent keys. Nothing of it reaches a provider. */
export async function serveOwn(line: Line, io: Io, route: OwnRoute, { served }: Caller): Promise<void> {
  const answer = checkKey(served.document, line.now()) ?? (await ownAnswer(line, io, route, served.document).catch(outOfReach));
  if (isRefusal(answer)) {
    line.metrics.countRefused(answer.code);
    return respondRefusal(io.response, route.family, answer, { requestId: io.requestId });
  }
  respondJson(io.response, answer.status, answer.value, io.requestId);
}

function outOfReach(error: unknown): Refusal {
  if (!(error instanceof ControlUnavailable)) throw error;
  return refuse('grant_unavailable', 'The operator is out of reach: try again shortly.', { retryAfterSeconds: 2 });
}

async function ownAnswer(line: Line, io: Io, route: OwnRoute, document: KeyDocument): Promise<Answer | Refusal> {
  switch (route.own) {
    case 'models':
      return { status: 200, value: route.family.modelList(listModels(document, line.served.pools, speaks(route.family))) };
    case 'self':
      return { status: 200, value: await self(line, document) };
    case 'children':
      return { status: 200, value: { keys: (await line.control.children(document.key)).map(childAnswer) } };
    case 'mint':
      return mint(line, io, document);
    case 'unmint':
      return unmint(line, document, route.child);
  }
}

/** Whether a pool serves any call of a family: its models are then worth listing there. */
function speaks(family: Family): (pool: PoolDocument) => boolean {
  const dialects = dialectsOf(family);
  return ({ provider }) => dialects.some(({ id }) => providerOf(provider)?.paths[id] !== undefined);
}

/** `GET /keyforge/v1/self`: what an agent may know of its own limits. */
async function self(line: Line, document: KeyDocument): Promise<unknown> {
  const { accounts } = await line.control.account(document.key);
  const limits = accounts.map(({ key, window, windowEnd, capNanoUsd, spentNanoUsd, outstandingNanoUsd, requestsUsed, requestsCap }) => ({
    key,
    window,
    ...(windowEnd === undefined ? {} : { windowEndsAt: windowEnd }),
    ...(capNanoUsd === undefined ? {} : { capUsd: formatUsd(Number(capNanoUsd)) }),
    spentUsd: formatUsd(Number(spentNanoUsd)),
    heldUsd: formatUsd(Number(outstandingNanoUsd)),
    requestsUsed,
    ...(requestsCap === undefined ? {} : { requestsCap }),
  }));
  const { models, perRequest } = document;
  return {
    key: document.key,
    owner: document.owner,
    labels: document.labels,
    ...(document.expiresAtMs === undefined ? {} : { expiresAt: new Date(document.expiresAtMs).toISOString() }),
    ...remaining(accounts),
    limits,
    perRequest: {
      ...(perRequest.usdNano === undefined ? {} : { usd: formatUsd(perRequest.usdNano) }),
      ...(perRequest.outputTokens === undefined ? {} : { outputTokens: perRequest.outputTokens }),
    },
    models: { allow: models.allow, deny: models.deny, aliases: models.aliases },
    ...(document.endpoints === undefined ? {} : { endpoints: document.endpoints }),
    ...(document.delegation === undefined ? {} : { delegation: document.delegation }),
  };
}

/** The least of what any window on the path has left; money held for calls in flight counts as left. */
function remaining(accounts: readonly { readonly capNanoUsd?: string; readonly spentNanoUsd: string; readonly burnedNanoUsd: string }[]): {
  remainingUsd?: string;
} {
  const left = accounts
    .filter(({ capNanoUsd }) => capNanoUsd !== undefined)
    .map(({ capNanoUsd, spentNanoUsd, burnedNanoUsd }) => Number(capNanoUsd) - Number(spentNanoUsd) - Number(burnedNanoUsd));
  return left.length === 0 ? {} : { remainingUsd: formatUsd(Math.max(0, Math.min(...left))) };
}

function childAnswer({ key, keyHint, expiresAt, capNanoUsd, spentNanoUsd }: ChildView): unknown {
  return {
    name: key,
    keyHint,
    ...(expiresAt === undefined ? {} : { expiresAt }),
    ...(capNanoUsd === undefined ? {} : { capUsd: formatUsd(Number(capNanoUsd)) }),
    spentUsd: formatUsd(Number(spentNanoUsd)),
  };
}

const childFields = object(
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

/** `POST /keyforge/v1/keys`: the token is in this answer and nowhere else. */
async function mint(line: Line, io: Io, document: KeyDocument): Promise<Answer | Refusal> {
  const bytes = await receive(io.request, 64 * 1024);
  if (bytes === null || isRefusal(bytes)) return bytes ?? refuse('invalid_request', 'The request ended early.');
  const spec = childSpec(bytes);
  if (isRefusal(spec)) return spec;
  const reply = await line.control.mint(document.key, spec);
  if ('denial' in reply) return refuse(reply.denial.code, reply.denial.message);
  return { status: 201, value: { key: reply.token, ...(childAnswer(reply.child) as object) } };
}

function childSpec(bytes: Buffer): ChildSpec | Refusal {
  const body = readBody(bytes);
  if ('problem' in body) return refuse('invalid_request', body.problem);
  const problems: string[] = [];
  const fields = childFields(
    body.value,
    rootPlace((path, message) => problems.push(`${formatPath(path)}: ${message}`)),
  );
  if (fields === undefined || problems.length > 0)
    return refuse('invalid_request', `The sub-agent key is not valid: ${problems.join('; ')}.`);
  const { usd, ttl, delegation, ...rest } = fields;
  return {
    ...rest,
    ...(usd === undefined ? {} : { usdNano: usd }),
    ...(ttl === undefined ? {} : { ttlMs: ttl }),
    ...(delegation?.maxDepth === undefined || delegation.maxChildren === undefined
      ? {}
      : { delegation: { maxDepth: delegation.maxDepth, maxChildren: delegation.maxChildren } }),
  };
}

/** `DELETE /keyforge/v1/keys/{name}`, by the name it was asked for with, its own name or `namespace/name`. */
async function unmint(line: Line, document: KeyDocument, child: string): Promise<Answer | Refusal> {
  const { key } = document;
  const names = child.includes('/') ? [storedKey(child)] : [childKeyName(key, child), keyName(namespaceOf(key), child)];
  for (const name of names) {
    if (await line.control.unmint(key, name)) return { status: 200, value: { deleted: name } };
  }
  return refuse('not_found', `${document.key} has no sub-agent key ${JSON.stringify(child)}.`);
}

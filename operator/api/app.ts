import { randomUUID } from 'node:crypto';
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express';
import type { Logger } from 'pino';
import { providerKinds } from '../../core/manifest/providers.ts';
import { duration } from '../../core/manifest/quantity.ts';
import { rootPlace } from '../../core/manifest/reader.ts';
import { type KeyName, keyName } from '../../core/names.ts';
import type { KeyDesk, RotateRefusal } from '../keys/desk.ts';
import type { BoundDesk } from '../ledger/learn.ts';
import type { PriceDesk } from '../prices/desk.ts';
import { priceListing } from '../prices/listing.ts';
import { acknowledgeBounds } from './bounds.ts';
import { creditRoute } from './credit.ts';
import { apiError, requireLoopbackHost, requireToken } from './guard.ts';
import { type KeyRoute, unknownKey } from './key-route.ts';

/** What the admin API serves. */
export interface AdminApiDeps {
  readonly desk: KeyDesk;
  readonly prices: PriceDesk;
  readonly bounds: BoundDesk;
  /** Its holder may do everything in this API. */
  readonly token: string;
  readonly logger: Logger;
}

/** The actor in records. There is one admin token, so records cannot distinguish administrators. */
const actor = 'admin';

/** Makes the admin API: keys, accounts, revocation, rotation, credit, prices that wait, and bounds that bills have widened. It never returns tokens; their holders read them from files. */
export function createAdminApi({ desk, prices, bounds, token, logger }: AdminApiDeps): Express {
  const app = express();
  app.disable('x-powered-by').disable('etag');
  app.use(requireLoopbackHost);
  app.get('/healthz', (_, response) => void response.json({ ok: true }));
  app.use(requireToken(token));
  app.get('/v1/keys', (_, response) => void response.json({ keys: desk.list() }));
  app.get('/v1/keys/:namespace/:name/account', account(desk));
  app.post('/v1/keys/:namespace/:name/revoke', revoke(desk));
  app.post('/v1/keys/:namespace/:name/rotate', rotate(desk));
  app.post('/v1/keys/:namespace/:name/credit', express.json({ limit: '16kb' }), creditRoute(desk, actor));
  app.get('/v1/prices', (_, response) => void response.json({ waiting: prices.waiting().map(priceListing) }));
  app.post('/v1/prices/:provider/acknowledge', acknowledgePrices(prices));
  app.get('/v1/pools', (_, response) => void response.json({ learned: bounds.learned() }));
  app.post('/v1/pools/:namespace/:name/acknowledge', express.json({ limit: '16kb' }), acknowledgeBounds(bounds, actor));
  app.use(notFound);
  app.use(failure(logger));
  return app;
}

function account(desk: KeyDesk): KeyRoute {
  return ({ params }, response) => {
    const key = keyName(params.namespace, params.name);
    const found = desk.account(key);
    if (found === null) response.status(404).json(unknownKey(key));
    else response.json(found);
  };
}

function revoke(desk: KeyDesk): KeyRoute {
  return ({ params }, response) => {
    const key = keyName(params.namespace, params.name);
    if (desk.revoke(key, actor)) response.json({ key, state: 'revoked' });
    else response.status(404).json(unknownKey(key));
  };
}

function rotate(desk: KeyDesk): KeyRoute {
  return ({ params, query }, response) => {
    const key = keyName(params.namespace, params.name);
    const overlapMs = readOverlap(query['overlap']);
    if (overlapMs === null) {
      response.status(400).json(apiError('invalid_request', 'overlap must be a duration such as 0s, 15m or 24h'));
      return;
    }
    const rotated = desk.rotate(key, overlapMs, actor);
    if (typeof rotated !== 'string') response.json({ key, ...rotated });
    else response.status(rotated === 'unknown' ? 404 : 409).json(rotateError(key, rotated));
  };
}

function acknowledgePrices(prices: PriceDesk): RequestHandler<{ provider: string }> {
  return ({ params, query }, response) => {
    const provider = providerKinds.find((kind) => kind === params.provider);
    const { model } = query;
    if (provider === undefined || (model !== undefined && typeof model !== 'string')) {
      response.status(404).json(apiError('not_found', `no provider ${params.provider}; one of ${providerKinds.join(', ')}`));
      return;
    }
    const models = prices.acknowledge(provider, model, actor);
    if (models.length > 0) response.json({ provider, models });
    else response.status(404).json(apiError('not_found', `no price of ${model ?? provider} waits; GET /v1/prices lists those that do`));
  };
}

/** Undefined: not given; null: not a duration. */
function readOverlap(given: unknown): number | undefined | null {
  if (given === undefined) return undefined;
  return (
    duration(
      given,
      rootPlace(() => {}),
    ) ?? null
  );
}

function rotateError(key: KeyName, refusal: RotateRefusal) {
  switch (refusal) {
    case 'unknown':
      return unknownKey(key);
    case 'sub-agent':
      return apiError('conflict', `key ${key} is a sub-agent key: revoke it, and let its parent mint another`);
    case 'no-token':
      return apiError('conflict', `key ${key} has issueToken: false, so there is no token to rotate`);
  }
}

const notFound: RequestHandler = (_, response) => void response.status(404).json(apiError('not_found', 'no such route'));

function failure(logger: Logger): ErrorRequestHandler {
  return (error: unknown, _, response, next) => {
    if (response.headersSent) return next(error);
    // Express's own errors (a bad percent-encoding, a body that is not JSON or too large) carry a 4xx status.
    const { status } = error as { status?: unknown };
    if (status === 400 || status === 413)
      return void response.status(status).json(apiError('invalid_request', 'the path or the body cannot be read'));
    const errorId = randomUUID();
    logger.error({ err: error, errorId }, 'an admin request failed');
    response.status(500).json(apiError('internal_error', `KeyForge failed (error ${errorId}); search its log for this id`));
  };
}

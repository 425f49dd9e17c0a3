import type { RequestHandler } from 'express';
import { isObject } from '../../core/json.ts';
import { poolName } from '../../core/names.ts';
import { isFeature } from '../../core/price/types.ts';
import type { BoundDesk } from '../ledger/learn.ts';
import { apiError } from './guard.ts';
import { isReason } from './reason.ts';

/** `POST /v1/pools/NS/NAME/acknowledge {"reason", "model", "feature"}`: clears what bills above their bound have taught about a pool. */
export function acknowledgeBounds(bounds: BoundDesk, actor: string): RequestHandler<{ namespace: string; name: string }> {
  return ({ params, body }, response) => {
    const { reason, model, feature, ...others } = isObject(body) ? body : {};
    const pool = poolName(params.namespace, params.name);
    const problem =
      Object.keys(others).length > 0
        ? `${Object.keys(others)[0]} is not a member of an acknowledgement: reason, model, feature`
        : !isReason(reason)
          ? 'reason is missing: say in at most 500 characters, on one line, why the bound may be trusted again'
          : model !== undefined && typeof model !== 'string'
            ? 'model must be the upstream name of a model'
            : null;
    if (problem !== null || !isReason(reason)) {
      response.status(400).json(apiError('invalid_request', problem ?? ''));
      return;
    }
    const known = feature === undefined || isFeature(feature);
    const cleared = known ? bounds.acknowledge({ pool, model: model as string | undefined, feature }, { actor, reason }) : [];
    if (cleared.length > 0) response.json({ pool, cleared });
    else
      response
        .status(404)
        .json(apiError('not_found', `bills have taught nothing of that about pool ${pool}; GET /v1/pools lists what they have`));
  };
}

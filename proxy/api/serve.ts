import { isRefusal, type Refusal, refuse } from '../../core/errors.ts';
import { checkKey } from '../../core/policy/check.ts';
import type { KeyDocument } from '../../core/policy/documents.ts';
import { ControlUnavailable } from '../../core/protocol/control.ts';
import type { Exchange, ProxyContext } from '../context.ts';
import type { ApiRoute } from '../dialect/routes.ts';
import type { Caller } from '../stages/authenticate.ts';
import { respondJson, respondRefusal } from '../stages/respond.ts';
import { createKey, deleteKey, listKeys } from './keys.ts';
import { modelOf, modelsOf } from './models.ts';
import { describeSelf } from './self.ts';

/** Answers requests to KeyForge's own API: a key's models, its limits, its sub-agent keys. No provider is involved. */
export async function serveApi(context: ProxyContext, exchange: Exchange, route: ApiRoute, { active }: Caller): Promise<void> {
  const { document } = active;
  const { response, requestId } = exchange;
  const answer = checkKey(document, context.now()) ?? (await perform(context, exchange, route, document).catch(unavailable));
  if (isRefusal(answer)) {
    context.metrics.countRefused(answer.code);
    return respondRefusal(response, route.family, answer, { requestId });
  }
  respondJson(response, route.operation === 'create_key' ? 201 : 200, answer, requestId);
}

async function perform(
  { control, activeKeys }: ProxyContext,
  { request }: Exchange,
  route: ApiRoute,
  document: KeyDocument,
): Promise<object | Refusal> {
  switch (route.operation) {
    case 'list_models':
      return modelsOf(route.family, document, activeKeys.pools);
    case 'get_model':
      return modelOf(route.model, route.family, document, activeKeys.pools);
    case 'get_self':
      return describeSelf(control, document);
    case 'list_keys':
      return listKeys(control, document);
    case 'create_key':
      return createKey(control, document, request);
    case 'delete_key':
      return deleteKey(control, document, route.child);
  }
}

function unavailable(error: unknown): Refusal {
  if (!(error instanceof ControlUnavailable)) throw error;
  return refuse('grant_unavailable', 'The KeyForge operator is unreachable: try again shortly.', { retryAfterSeconds: 2 });
}

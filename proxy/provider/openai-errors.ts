import { isObject, scalarText } from '../../core/json.ts';
import type { ErrorBody } from './error-body.ts';
import type { ErrorAnswer, Verdict } from './types.ts';
import { cooldown, disabled, modelCooldown, overloaded } from './verdict.ts';

/** What an error is about, where neither its status nor OpenAI's codes say it. */
interface Row {
  readonly statuses: readonly number[];
  /** `spent`: the scope has no money. `limited`, `busy`: this model of it, or all of it, has a limit that passes. */
  readonly kind: 'caller' | 'misfit' | 'spent' | 'limited' | 'busy' | 'overloaded';
  readonly code: string;
  readonly is: (error: ErrorBody) => boolean;
}

function row(kind: Row['kind'], code: string, statuses: readonly number[], is: Row['is']): Row {
  return { statuses, kind, code, is };
}

/** Spend limits of OpenRouter: of a key, of a guardrail and of a workspace. */
const spendSources = new Set(['openrouter_key_limit', 'openrouter_guardrail_budget', 'openrouter_workspace_budget']);

/** "Request too large for gpt-4o …: Limit 30000, Requested 61337". Below the limit, the same words tell of a limit that passes. */
const tooLarge = /^Request too large\b.*\bLimit (\d+), Requested (\d+)/s;

function isTooLarge({ message }: ErrorBody): boolean {
  const [, limit, requested] = tooLarge.exec(message) ?? [];
  return limit !== undefined && Number(requested) > Number(limit);
}

/**
 * The first match counts. A caller must not be able to put a credential aside: what does so is a type, a code or metadata, or a
 * message of a status that no request brings about. Messages are matched at their start, because the rest may quote the caller.
 */
const rows: readonly Row[] = [
  // Restricted keys: the credential is good, but not for this endpoint. The message begins with a phrase that varies.
  row('caller', 'missing_scope', [401, 403], ({ code, message }) => code === 'missing_scope' || /\bMissing scopes?:/.test(message)),
  // LiteLLM: the model, tool or vector store of this request is not allowed. docs.litellm.ai/docs/proxy/error_reference
  row('caller', 'access_denied', [401, 403], ({ type, message }) => /_access_denied$/.test(type) || notAllowed.test(message)),
  // LiteLLM: the customer or the tag that this request names has spent its budget. docs.litellm.ai/docs/proxy/users#customers
  row(
    'caller',
    'budget_of_caller',
    [400, 401, 422, 429],
    ({ message }) =>
      /^(?:Authentication Error, )?(?:(?:ExceededBudget:|Budget has been exceeded!) (?:End User|Tag)=|LiteLLM End User: )/.test(message) ||
      /^Rate limit exceeded for end_user: /.test(message),
  ),
  // LiteLLM: the budget of our key is spent for one model, or as a whole.
  row(
    'limited',
    'budget_exceeded',
    [400, 422, 429],
    ({ type, message }) => type === 'budget_exceeded' && /^LiteLLM .*\bexceeded budget for model=/.test(message),
  ),
  row(
    'spent',
    'budget_exceeded',
    [400, 422, 429],
    ({ type, message }) => type === 'budget_exceeded' && /^(?:ExceededBudget:|Budget has been exceeded!)/.test(message),
  ),
  // Its other budgets are of a session or an agent.
  row('caller', 'budget_of_caller', [400, 422, 429], ({ type }) => type === 'budget_exceeded'),
  // OpenRouter: smaller requests fit the balance. openrouter.ai/docs/api/reference/limits
  row(
    'misfit',
    'can_only_afford',
    [402],
    ({ message, object }) =>
      /\bcan only afford [1-9]/.test(message) ||
      /^Prompt tokens limit exceeded: \d+ > [1-9]/.test(message) ||
      metadataOf(object)['reason'] === 'weight_exceeds_budget',
  ),
  // OpenRouter: calls in flight hold what is left. It says when to come back.
  row('busy', 'in_flight_budget', [402], ({ object }) => metadataOf(object)['limit_source'] === 'openrouter_in_flight_budget'),
  // OpenRouter: openrouter.ai/docs/guides/features/workspaces/workspace-budgets. Other 403 are of moderation, or of one model.
  row(
    'spent',
    'spend_limit',
    [403],
    ({ message, object }) =>
      /^(?:Key limit exceeded|Workspace \w+ budget of )/.test(message) || spendSources.has(scalarText(metadataOf(object)['limit_source'])),
  ),
  // xAI: "Your newly created team doesn't have any credits", "Your team … has either used all available credits or …".
  row('spent', 'no_credits', [403, 429], ({ message }) =>
    /^Your (?:newly created )?teams?\b.*(?:doesn't have any credits|has either used all available credits)/.test(message),
  ),
  // Capacity of the flex tier, which says nothing about other tiers: developers.openai.com/api/docs/guides/flex-processing
  row('caller', 'resource_unavailable', [429], ({ code }) => code === 'resource_unavailable'),
  // OpenAI; Groq says it with 413.
  row('misfit', 'request_too_large', [413, 429], isTooLarge),
  // Azure: "Your request exceeds the maximum usage size allowed during peak load." Smaller ones fit.
  row('misfit', 'peak_load', [429], ({ message }) =>
    /^The system is currently experiencing high demand\b.*\brequest exceeds the maximum usage size/.test(message),
  ),
  // Mistral: the model's servers are full, whoever calls.
  row(
    'overloaded',
    'service_tier_capacity_exceeded',
    [429],
    ({ type, message }) => type === 'service_tier_capacity_exceeded' || message.startsWith('Service tier capacity exceeded'),
  ),
];

/** LiteLLM before it had types for it. */
const notAllowed =
  /^(?:Authentication Error, )?(?:(?:API Key|key|team|user|organization|project) not allowed to access model|Not allowed to access model due to tags)/i;

/** The verdict of a known error of a vendor that speaks OpenAI's dialect; null: its status and code decide. */
export function verdictOfVendor(
  error: ErrorBody,
  { status, nowMs, deadline }: Pick<ErrorAnswer, 'status' | 'nowMs'> & { readonly deadline: number | null },
): Verdict | null {
  const known = rows.find(({ statuses, is }) => statuses.includes(status) && is(error));
  if (known === undefined) return null;
  const { kind, code } = known;
  switch (kind) {
    case 'caller':
    case 'misfit':
      return { kind, code };
    case 'spent':
      return disabled(code, deadline ?? resetOf(error));
    case 'limited':
      return modelCooldown(code, { deadline, nowMs });
    case 'busy':
      return cooldown(code, { deadline, nowMs });
    case 'overloaded':
      return overloaded(code, { deadline, nowMs });
  }
}

function metadataOf(error: ErrorBody['object']): ErrorBody['object'] {
  return isObject(error['metadata']) ? error['metadata'] : {};
}

/** When OpenRouter's spend limit ends. */
function resetOf({ object }: ErrorBody): number | null {
  const atMs = Date.parse(scalarText(metadataOf(object)['resets_at']));
  return Number.isNaN(atMs) ? null : atMs;
}

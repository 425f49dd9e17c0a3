import { isRefusal } from '../../core/errors.ts';
import type { KeyName } from '../../core/names.ts';
import { checkKey } from '../../core/policy/check.ts';
import type { ChildSpec, ChildView, MintReply } from '../../core/protocol/children.ts';
import { tokenHint } from '../../core/token.ts';
import { mintEscrow } from '../ledger/escrow.ts';
import type { Attempt, Funding } from '../ledger/funding.ts';
import { recallTargets, spent } from '../ledger/view.ts';
import type { ChildRow, Tx } from '../store/types.ts';
import type { SealDeps } from '../vault/aead.ts';
import { newChild } from './children.ts';
import { endChild, type RecordEvent } from './lives.ts';
import type { Change, Live, Registry } from './registry.ts';
import { addToken } from './tokens.ts';

/** Keys that all agents of one VirtualKey may mint in a minute: each changes what is served, for which every key is looked at. */
const mintsPerMinute = 120;

/** Sub-agent keys, as the control port offers them. */
export interface Minting {
  mint(parent: KeyName, spec: ChildSpec): Promise<MintReply>;
  children(parent: KeyName): Promise<readonly ChildView[]>;
  unmint(parent: KeyName, child: KeyName): Promise<boolean>;
}

export interface MintingDeps extends SealDeps {
  readonly registry: Registry;
  readonly funding: Pick<Funding, 'persist' | 'released'>;
  readonly record: RecordEvent;
}

/** Minting over the registry: a new key is pushed to every proxy before its token is returned. */
export function createMinting({ registry, funding, record, ...press }: MintingDeps): Minting {
  /** When keys were minted in the last minute, by VirtualKey. */
  const minted = new Map<KeyName, readonly number[]>();

  function attempt(tx: Tx, live: Live, parent: KeyName, spec: ChildSpec): Change<Attempt<MintReply>> {
    const document = live.documents.get(parent);
    const plan = live.plans.get(parent);
    if (document === undefined || plan === undefined) return denied({ code: 'key_revoked', message: `key ${parent} was deleted` });
    const refusal = checkKey(document, tx.now());
    if (refusal !== null) return denied(refusal);
    const taken = new Set([...live.specs.keys(), ...tx.keys.names(), ...tx.keys.children().map(({ key }) => key)]);
    const { documents, children } = live;
    const holder = [...document.path, parent].findLast((key) => live.specs.has(key)) ?? parent;
    if (live.tokens.get(holder)?.revoked === true) return denied({ code: 'key_revoked', message: `key ${holder} was revoked` });
    const lately = (minted.get(holder) ?? []).filter((atMs) => atMs > tx.now() - 60_000);
    if (lately.length >= mintsPerMinute) {
      return denied({
        code: 'rate_limited',
        message: `VirtualKey ${holder} has had ${mintsPerMinute} keys minted in a minute; wait for one`,
      });
    }
    const row = newChild({ parent: document, spec, documents, taken, children, nowMs: tx.now(), random: press.random });
    if (isRefusal(row)) return denied(row);
    const escrow = spec.usdNano === undefined ? {} : mintEscrow(tx, plan, row.key, spec.usdNano);
    if ('denial' in escrow) return denied(escrow.denial, recallTargets(tx, plan, escrow.denial));
    const ends = [row.expiresAtMs, escrow.expiresAtMs].filter((end) => end !== undefined);
    const child: ChildRow = { ...row, ...(ends.length > 0 && { expiresAtMs: Math.min(...ends) }) };
    minted.set(holder, [...lately, tx.now()]);
    tx.keys.putChild(child);
    const token = addToken(tx.keys, child.key, tx.now(), press);
    record(tx, {
      type: 'key_created',
      object: `VirtualKey ${child.key}`,
      detail: { by: 'agent', parent, spec: JSON.stringify(child.spec) },
    });
    return { changed: true, value: { answer: { token, child: viewOf(tx, child, tokenHint(token)) }, recall: [] } };
  }

  return {
    mint: (parent, spec) => funding.persist(async () => registry.change((tx, live) => attempt(tx, live, parent, spec))),
    async children(parent) {
      return registry.read((tx, live) => {
        const own = live.children.filter((row) => row.parent === parent);
        return own.map((row) => viewOf(tx, row, live.tokens.get(row.key)?.current?.hint ?? ''));
      });
    },
    async unmint(parent, child) {
      const found = registry.change((tx, live) => {
        const row = live.children.find(({ key }) => key === child);
        if (row === undefined || row.parent !== parent) return { changed: false, value: false };
        endChild(tx, row, 'deleted by its parent', record);
        return { changed: true, value: true };
      });
      if (found) funding.released();
      return found;
    },
  };
}

function denied(
  { code, message }: Extract<MintReply, { denial: unknown }>['denial'],
  recall: readonly KeyName[] = [],
): Change<Attempt<MintReply>> {
  return { changed: false, value: { answer: { denial: { code, message } }, recall } };
}

function viewOf(tx: Tx, { key, spec: { usdNano }, expiresAtMs }: ChildRow, keyHint: string): ChildView {
  return {
    key,
    keyHint,
    ...(expiresAtMs !== undefined && { expiresAt: new Date(expiresAtMs).toISOString() }),
    ...(usdNano !== undefined && { capNanoUsd: String(usdNano) }),
    spentNanoUsd: String(spent(tx, key)),
  };
}

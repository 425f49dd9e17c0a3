import { isRefusal, type Refusal, refuse } from '../../core/errors.ts';
import { defined } from '../../core/json.ts';
import { minOf } from '../../core/money.ts';
import type { KeyName } from '../../core/names.ts';
import { checkKey } from '../../core/policy/check.ts';
import type { KeyDocument } from '../../core/policy/documents.ts';
import type { ChildSpec, ChildView, MintReply } from '../../core/protocol/children.ts';
import { tokenHint } from '../../core/token.ts';
import { keyObject, type RecordEvent } from '../evidence/own-stream.ts';
import { mintEscrow } from '../ledger/escrow.ts';
import type { Attempt, Funding } from '../ledger/funding.ts';
import { recallTargets, spent } from '../ledger/view.ts';
import type { ChildRow, Tx } from '../store/types.ts';
import type { SealDeps } from '../vault/aead.ts';
import { newChild } from './children.ts';
import { endChild } from './lifecycle.ts';
import type { LiveState } from './live-state.ts';
import type { Change, Registry } from './registry.ts';
import { addToken } from './tokens.ts';

/** Maximum of keys that all agents of one VirtualKey may mint in a minute: each rebuilds the live state of every key. */
const maxMintsPerMinute = 120;

/** What minting needs. */
interface MintingDeps extends SealDeps {
  readonly registry: Registry;
  readonly funding: Pick<Funding, 'persist' | 'released' | 'claims'>;
  readonly record: RecordEvent;
}

/** Mints and deletes sub-agent keys for the control port. It pushes a new key to every proxy before it returns the token. */
export class Minting {
  readonly #deps: MintingDeps;
  /** Times of the mints of the last minute, by VirtualKey. */
  readonly #minted = new Map<KeyName, readonly number[]>();

  constructor(deps: MintingDeps) {
    this.#deps = deps;
  }

  mint(parent: KeyName, spec: ChildSpec): Promise<MintReply> {
    const { registry, funding } = this.#deps;
    return funding.persist(async () => registry.change((tx, live) => this.#attempt(tx, live, parent, spec)));
  }

  async children(parent: KeyName): Promise<readonly ChildView[]> {
    return this.#deps.registry.read((tx, live) => {
      const own = live.children.filter((row) => row.parent === parent);
      return own.map((row) => viewOf(tx, row, live.tokens.get(row.key)?.current?.hint ?? ''));
    });
  }

  /** False if the parent has no such child. */
  async unmint(parent: KeyName, child: KeyName): Promise<boolean> {
    const { registry, funding, record } = this.#deps;
    const found = registry.change((tx, live) => {
      const row = live.children.find(({ key }) => key === child);
      if (row === undefined || row.parent !== parent) return { changed: false, value: false };
      endChild(tx, row, 'deleted by its parent', record);
      return { changed: true, value: true };
    });
    if (found) funding.released();
    return found;
  }

  #attempt(tx: Tx, live: LiveState, parent: KeyName, spec: ChildSpec): Change<Attempt<MintReply>> {
    const document = live.documents.get(parent);
    const plan = live.plans.get(parent);
    if (document === undefined || plan === undefined) return denied({ code: 'key_revoked', message: `key ${parent} was deleted` });
    const holder = holderOf(live, document);
    const row = checkKey(document, tx.now()) ?? this.#holderRefusal(tx, live, holder) ?? this.#newRow(tx, live, document, spec);
    if (isRefusal(row)) return denied(row);
    const { usdNano } = spec;
    const claims = this.#deps.funding.claims();
    const escrow = usdNano === undefined ? {} : mintEscrow(tx, plan, { child: row.key, usdNano, claims });
    if ('denial' in escrow) return denied(escrow.denial, recallTargets(tx, plan, escrow.denial));
    const child: ChildRow = { ...row, ...defined({ expiresAtMs: minOf([row.expiresAtMs, escrow.expiresAtMs]) }) };
    this.#minted.set(holder, [...this.#mintedLately(tx, holder), tx.now()]);
    tx.keys.putChild(child);
    const token = addToken(tx.keys, child.key, tx.now(), this.#deps);
    const detail = { by: 'agent', parent, spec: JSON.stringify(spec) };
    this.#deps.record(tx, { type: 'key_created', object: keyObject(child.key), detail });
    return { changed: true, value: { answer: { token, child: viewOf(tx, child, tokenHint(token)) }, recall: [] } };
  }

  #holderRefusal(tx: Tx, live: LiveState, holder: KeyName): Refusal | null {
    if (live.tokens.get(holder)?.revoked === true) return refuse('key_revoked', `key ${holder} was revoked`);
    if (this.#mintedLately(tx, holder).length < maxMintsPerMinute) return null;
    return refuse(
      'rate_limited',
      `agents minted ${maxMintsPerMinute} keys below VirtualKey ${holder} in the last minute, the maximum; retry in a minute`,
    );
  }

  #mintedLately(tx: Tx, holder: KeyName): readonly number[] {
    return (this.#minted.get(holder) ?? []).filter((atMs) => atMs > tx.now() - 60_000);
  }

  #newRow(tx: Tx, { documents, children, specs }: LiveState, parent: KeyDocument, spec: ChildSpec): ChildRow | Refusal {
    const taken = new Set([...specs.keys(), ...tx.keys.names(), ...tx.keys.children().map(({ key }) => key)]);
    return newChild({ parent, spec, documents, taken, children, nowMs: tx.now(), random: this.#deps.random });
  }
}

/** The declared key that a key descends from; the key itself if it is declared. */
function holderOf({ specs }: LiveState, { key, path }: KeyDocument): KeyName {
  return [...path, key].findLast((ancestor) => specs.has(ancestor)) ?? key;
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
    ...defined({
      expiresAt: expiresAtMs === undefined ? undefined : new Date(expiresAtMs).toISOString(),
      capNanoUsd: usdNano === undefined ? undefined : String(usdNano),
    }),
    spentNanoUsd: String(spent(tx, key)),
  };
}

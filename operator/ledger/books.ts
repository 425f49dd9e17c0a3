import { type Account, type Amounts, accountName } from '../../core/budget/account.ts';
import type { BookedGrant, Books } from '../../core/budget/books.ts';
import { storedKey } from '../../core/names.ts';
import type { GrantRow, Tx } from '../store/types.ts';

/**
 * The bank's books over one transaction's rows, for one step that changes grants through them alone: each grant is read once.
 * What the rows keep of an account or grant is terse JSON: they are rewritten often.
 */
export function booksOf(tx: Tx): Books {
  const { ledger } = tx;
  const grants = new Map<string, BookedGrant>();
  return {
    account: (id) => {
      const row = ledger.account(id);
      return row === null ? null : readAccount(row.state);
    },
    newest: (key, window) => {
      const row = ledger.newestAccount(key, window);
      return row === null ? null : { startMs: row.startMs, account: readAccount(row.state) };
    },
    putAccount: (id, account) => ledger.putAccount({ id, ...accountName(id), state: writeAccount(account) }),
    grant: (id) => {
      const known = grants.get(id);
      if (known !== undefined) return known;
      const row = ledger.grant(id);
      if (row === null) return null;
      const grant = readGrant(row);
      grants.set(id, grant);
      return grant;
    },
    putGrant: (grant) => {
      grants.set(grant.id, grant);
      ledger.putGrant(writeGrant(grant));
    },
    openGrants: (stream, epoch) => ledger.openGrants(stream, epoch).map(readGrant),
    holders: (id) => ledger.holders(id).map(readGrant),
  };
}

type Triple = readonly [nano: number, requests: number, tokens: number];

interface AccountState {
  readonly s: Triple;
  readonly b: Triple;
  readonly o: Triple;
  readonly h: number;
  readonly r?: number;
}

interface GrantState {
  readonly a: readonly [nano: number, requests: number | null, tokens: number | null];
  readonly s: Triple;
  readonly b: Triple;
  /** End, milliseconds since the epoch. */
  readonly u?: number;
  /** Id of the escrow that funds it. */
  readonly e?: string;
  /** Child for which it is an escrow. */
  readonly c?: string;
  /** 1: recovered. */
  readonly x?: 1;
}

function triple({ nano, requests, tokens }: Amounts): Triple {
  return [nano, requests, tokens];
}

function amounts([nano, requests, tokens]: Triple): Amounts {
  return { nano, requests, tokens };
}

function writeAccount({ settled, burned, outstanding, holders, tokensPerMinute }: Account): string {
  const state: AccountState = {
    s: triple(settled),
    b: triple(burned),
    o: triple(outstanding),
    h: holders,
    ...(tokensPerMinute === undefined ? {} : { r: tokensPerMinute }),
  };
  return JSON.stringify(state);
}

function readAccount(text: string): Account {
  const { s, b, o, h, r } = JSON.parse(text) as AccountState;
  const account = { settled: amounts(s), burned: amounts(b), outstanding: amounts(o), holders: h };
  return r === undefined ? account : { ...account, tokensPerMinute: r };
}

function writeGrant(grant: BookedGrant): GrantRow {
  const { id, askId, key, stream, epoch, open, accounts, amount } = grant;
  const state: GrantState = {
    a: [amount.nano, amount.requests ?? null, amount.tokens ?? null],
    s: triple(grant.settled),
    b: triple(grant.burned),
    ...(grant.endMs === undefined ? {} : { u: grant.endMs }),
    ...(grant.escrow === undefined ? {} : { e: grant.escrow }),
    ...(grant.escrowFor === undefined ? {} : { c: grant.escrowFor }),
    ...(grant.recovered === undefined ? {} : { x: 1 as const }),
  };
  return { id, askId, key, stream, epoch, open, accounts, state: JSON.stringify(state) };
}

function readGrant({ state, ...row }: GrantRow): BookedGrant {
  const { a, s, b, u, e, c, x } = JSON.parse(state) as GrantState;
  const [nano, requests, tokens] = a;
  return {
    ...row,
    amount: { nano, ...(requests === null ? {} : { requests }), ...(tokens === null ? {} : { tokens }) },
    settled: amounts(s),
    burned: amounts(b),
    ...(u === undefined ? {} : { endMs: u }),
    ...(e === undefined ? {} : { escrow: e }),
    ...(c === undefined ? {} : { escrowFor: storedKey(c) }),
    ...(x === undefined ? {} : { recovered: true as const }),
  };
}

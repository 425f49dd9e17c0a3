import type { Account, Amounts } from '../../core/budget/account.ts';
import type { BookedGrant } from '../../core/budget/ledger.ts';
import type { GrantId, KeyName } from '../../core/names.ts';

/** The content of the `state` column of a grant's row. */
export type GrantState = Pick<BookedGrant, 'amount' | 'settled' | 'burned' | 'endMs' | 'escrow' | 'escrowFor' | 'recovered'>;

type Triple = readonly [nano: number, requests: number, tokens: number];

/** Short names, because rows are rewritten often. */
interface StoredAccount {
  /** Settled, burned, outstanding. */
  readonly s: Triple;
  readonly b: Triple;
  readonly o: Triple;
  /** Holders. */
  readonly h: number;
  /** Tokens per minute. */
  readonly r?: number;
}

interface StoredGrant {
  readonly a: readonly [nano: number, requests: number | null, tokens: number | null];
  readonly s: Triple;
  readonly b: Triple;
  /** End, milliseconds since the epoch. */
  readonly u?: number;
  /** Id of the escrow that funds it. */
  readonly e?: GrantId;
  /** Child for which it is an escrow. */
  readonly c?: KeyName;
  /** 1: recovered. */
  readonly x?: 1;
}

/** Encodes an account for its `state` column. */
export function writeAccount({ settled, burned, outstanding, holders, tokensPerMinute }: Account): string {
  const stored: StoredAccount = {
    s: triple(settled),
    b: triple(burned),
    o: triple(outstanding),
    h: holders,
    ...(tokensPerMinute === undefined ? {} : { r: tokensPerMinute }),
  };
  return JSON.stringify(stored);
}

/** Reads what `writeAccount` wrote. */
export function readAccount(text: string): Account {
  const { s, b, o, h, r } = JSON.parse(text) as StoredAccount;
  const account = { settled: amounts(s), burned: amounts(b), outstanding: amounts(o), holders: h };
  return r === undefined ? account : { ...account, tokensPerMinute: r };
}

/** Encodes a grant for its `state` column. */
export function writeGrant({ amount, settled, burned, endMs, escrow, escrowFor, recovered }: GrantState): string {
  const stored: StoredGrant = {
    a: [amount.nano, amount.requests ?? null, amount.tokens ?? null],
    s: triple(settled),
    b: triple(burned),
    ...(endMs === undefined ? {} : { u: endMs }),
    ...(escrow === undefined ? {} : { e: escrow }),
    ...(escrowFor === undefined ? {} : { c: escrowFor }),
    ...(recovered === undefined ? {} : { x: 1 as const }),
  };
  return JSON.stringify(stored);
}

/** Reads what `writeGrant` wrote. */
export function readGrant(text: string): GrantState {
  const { a, s, b, u, e, c, x } = JSON.parse(text) as StoredGrant;
  const [nano, requests, tokens] = a;
  return {
    amount: { nano, ...(requests === null ? {} : { requests }), ...(tokens === null ? {} : { tokens }) },
    settled: amounts(s),
    burned: amounts(b),
    ...(u === undefined ? {} : { endMs: u }),
    ...(e === undefined ? {} : { escrow: e }),
    ...(c === undefined ? {} : { escrowFor: c }),
    ...(x === undefined ? {} : { recovered: true as const }),
  };
}

function triple({ nano, requests, tokens }: Amounts): Triple {
  return [nano, requests, tokens];
}

function amounts([nano, requests, tokens]: Triple): Amounts {
  return { nano, requests, tokens };
}

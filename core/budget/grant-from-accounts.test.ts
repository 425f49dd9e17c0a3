import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Limit } from '../manifest/types.ts';
import { type GrantId, type KeyName, keyName, type StreamId } from '../names.ts';
import type { AccountNode, AccountPlan } from '../policy/documents.ts';
import { committed, nothing } from './account.ts';
import { type Denial, wireDenial } from './denial.ts';
import { fakeLedger } from './fake-ledger.ts';
import { charge, closeGrant, creditBurned, creditSettled } from './grant.ts';
import { type Granted, grantFrom, type HolderRequest } from './grant-from-accounts.ts';
import { minuteOf, totalOf, windowAccountsAt } from './window-account.ts';

const now = Date.UTC(2026, 10, 21, 12);
const org = keyName('platform', 'org');
const bot = keyName('agents', 'bot');
const dollar = 1e9;

function node(key: KeyName, limits: readonly Partial<Limit>[], rate: AccountNode['rate'] = {}): AccountNode {
  return { key, limits: limits.map((limit) => ({ window: 'Day', timeZone: 'Etc/UTC', ...limit })), rate };
}

function plan(...nodes: readonly AccountNode[]): AccountPlan {
  return { key: nodes.at(-1)?.key ?? bot, path: nodes.map(({ key }) => key), nodes };
}

function ledgerFor(policy: AccountPlan, ledger = fakeLedger()) {
  let sent = 0;
  return {
    ledger,
    request: (more: Partial<HolderRequest> = {}, nowMs = now, policyNow = policy): Granted | Denial => {
      sent += 1;
      const bound = more.boundNano ?? 0;
      const figures = {
        heldNano: 0,
        atLeastNano: bound,
        boundNano: bound,
        wantNano: bound,
        atLeastRequests: 0,
        wantRequests: 0,
        tokens: 0,
      } as const;
      const who = { id: `g${sent}` as GrantId, askId: `a${sent}`, key: policy.key, stream: `${policy.key}@p1` as StreamId, epoch: 1 };
      const accounts = windowAccountsAt(policyNow, nowMs);
      return grantFrom({ ledger, request: { ...who, ...figures, ...more }, accounts, escrow: null, nowMs });
    },
  };
}

function granted(answer: Granted | Denial): Granted {
  assert.ok('grant' in answer, JSON.stringify(answer));
  return answer;
}

function denied(answer: Granted | Denial): Denial {
  assert.ok('code' in answer, JSON.stringify(answer));
  return answer;
}

function day(key: KeyName): string {
  return `${key}|Day|2026-11-21T00:00:00.000Z`;
}

const zero = { settled: nothing, burned: nothing, outstanding: nothing, holders: 0 };

test('a grant is taken from every account on the path at once', () => {
  const { ledger, request } = ledgerFor(plan(node(org, [{ usdNano: 10 * dollar }]), node(bot, [{ usdNano: dollar }, { window: 'Month' }])));
  const { grant, remainderNano } = granted(request({ boundNano: dollar / 4 }));
  assert.deepEqual(grant.accounts, [totalOf(org), day(org), totalOf(bot), day(bot), `${bot}|Month|2026-11-01T00:00:00.000Z`]);
  for (const id of grant.accounts) assert.equal(ledger.account(id)?.outstanding.nano, dollar / 4, id);
  assert.equal(remainderNano, (3 * dollar) / 4);
  assert.equal(grant.endMs, Date.UTC(2026, 10, 22));
});

test('200 parallel requests on a budget for one get exactly one grant', () => {
  const { request } = ledgerFor(plan(node(bot, [{ usdNano: dollar }])));
  const answers = Array.from({ length: 200 }, (_, index) => request({ boundNano: dollar, stream: `${bot}@p${index}` as StreamId }));
  assert.equal(answers.filter((answer) => 'grant' in answer).length, 1);
  for (const answer of answers.slice(1)) assert.equal(denied(answer).code, 'budget_reserved');
});

test('a grant is at most a quarter of the remainder for each holder, but never less than the call', () => {
  const { request } = ledgerFor(plan(node(bot, [{ usdNano: 1600 }])));
  assert.equal(granted(request({ boundNano: 10, wantNano: 9999 })).grant.amount.nano, 400);
  assert.equal(granted(request({ boundNano: 10, wantNano: 9999, stream: `${bot}@p2` as StreamId })).grant.amount.nano, 150);
  assert.equal(granted(request({ boundNano: 1000, wantNano: 9999 })).grant.amount.nano, 1000);
  assert.equal(granted(request({ boundNano: 10, wantNano: 12 })).grant.amount.nano, 10);
});

test('a call that could do with less leaves three quarters of the remainder to parallel calls', () => {
  const { request } = ledgerFor(plan(node(bot, [{ usdNano: 1600 }])));
  const amounts = [1, 2, 3].map(() => granted(request({ atLeastNano: 10, boundNano: 5000, wantNano: 5000 })).grant.amount.nano);
  assert.deepEqual(amounts, [400, 300, 225]);
});

test('a grant is never shrunk below what the call needs: it is refused', () => {
  const { request } = ledgerFor(plan(node(bot, [{ usdNano: 100 }])));
  granted(request({ boundNano: 60 }));
  assert.equal(denied(request({ boundNano: 41 })).code, 'budget_reserved');
  assert.equal(granted(request({ boundNano: 40 })).grant.amount.nano, 40);
});

test('without any cap what is wanted is granted', () => {
  const { request } = ledgerFor(plan(node(bot, [])));
  const { grant, remainderNano } = granted(request({ boundNano: 5, wantNano: 9e12 }));
  assert.equal(grant.amount.nano, 9e12);
  assert.equal(remainderNano, undefined);
  assert.equal(grant.endMs, undefined);
});

test('a denial says whether waiting helps: too dear, spent, or reserved', () => {
  const { ledger, request } = ledgerFor(plan(node(org, [{ usdNano: 10 * dollar }]), node(bot, [{ usdNano: dollar }])));
  const expensive = denied(request({ boundNano: dollar + 1 }));
  assert.deepEqual(
    [expensive.code, expensive.limitedBy, expensive.retryAfterSeconds],
    ['request_too_expensive', { key: bot, window: 'Day' }, undefined],
  );
  const { grant } = granted(request({ boundNano: dollar * 0.75 }));
  const reserved = denied(request({ boundNano: dollar / 2 }));
  assert.deepEqual([reserved.code, reserved.retryAfterSeconds, reserved.availableNano], ['budget_reserved', 1, dollar / 4]);
  charge(ledger, grant, { nano: dollar * 0.75, requests: 0, tokens: 0 }, now);
  const spent = denied(request({ boundNano: dollar / 2 }));
  assert.deepEqual([spent.code, spent.limitedBy, spent.retryAfterSeconds], ['budget_exhausted', { key: bot, window: 'Day' }, 12 * 3600]);
});

test('what open grants have settled already counts as spent in a denial', () => {
  const { ledger, request } = ledgerFor(plan(node(bot, [{ usdNano: 100 }])));
  const { grant } = granted(request({ boundNano: 100 }));
  charge(ledger, grant, { nano: 70, requests: 0, tokens: 0 }, now);
  assert.equal(denied(request({ boundNano: 30 })).code, 'budget_reserved');
  assert.equal(denied(request({ boundNano: 31 })).code, 'budget_exhausted');
});

test('what the requesting holder already has counts towards what it needs', () => {
  const { request } = ledgerFor(plan(node(bot, [{ usdNano: 100 }])));
  granted(request({ boundNano: 60 }));
  assert.equal(denied(request({ boundNano: 50, heldNano: 60 })).code, 'request_too_expensive');
  const fits = denied(request({ boundNano: 50, heldNano: 50 }));
  assert.deepEqual([fits.code, fits.availableNano], ['budget_reserved', 90]);
});

test('requests are granted in slices and run out as a quota', () => {
  const { ledger, request } = ledgerFor(plan(node(bot, [{ requests: 8 }])));
  const first = granted(request({ atLeastRequests: 1, wantRequests: 100 })).grant;
  assert.equal(first.amount.requests, 2);
  for (let count = 0; count < 6; count += 1) granted(request({ atLeastRequests: 1, wantRequests: 1 }));
  assert.equal(denied(request({ atLeastRequests: 1, wantRequests: 1 })).code, 'budget_reserved');
  for (const grant of ledger.grants.values()) charge(ledger, grant, { nano: 0, requests: grant.amount.requests ?? 0, tokens: 0 }, now);
  const over = denied(request({ atLeastRequests: 1, wantRequests: 1 }));
  assert.deepEqual([over.code, over.retryAfterSeconds], ['quota_exhausted', 12 * 3600]);
});

test('a rate counts its minute, and the next minute is new', () => {
  const { request } = ledgerFor(plan(node(bot, [], { requestsPerMinute: 1 })));
  assert.equal(granted(request({ atLeastRequests: 1 })).grant.endMs, now + 60_000);
  const limited = denied(request({ atLeastRequests: 1 }, now + 15_000));
  assert.deepEqual([limited.code, limited.limitedBy, limited.retryAfterSeconds], ['rate_limited', { key: bot, window: 'Minute' }, 45]);
  granted(request({ atLeastRequests: 1 }, now + 60_000));
});

test('tokens used beyond their estimate delay later calls by as many minutes as the rate needs', () => {
  const policy = plan(node(bot, [], { tokensPerMinute: 1000 }));
  const { ledger, request } = ledgerFor(policy);
  const { grant } = granted(request({ tokens: 400 }));
  charge(ledger, grant, { nano: 0, requests: 0, tokens: 3500 }, now + 1000);
  assert.equal(denied(request({ tokens: 100 }, now + 30_000)).retryAfterSeconds, 30 + 2 * 60);
  assert.equal(denied(request({ tokens: 100 }, now + 60_000)).code, 'rate_limited');
  assert.equal(denied(request({ tokens: 501 }, now + 3 * 60_000)).code, 'rate_limited');
  granted(request({ tokens: 500 }, now + 3 * 60_000));
});

test('a correction that arrives in a later minute is charged to that minute', () => {
  const { ledger, request } = ledgerFor(plan(node(bot, [], { tokensPerMinute: 1000 })));
  const { grant } = granted(request({ tokens: 400 }));
  charge(ledger, grant, { nano: 0, requests: 0, tokens: 900 }, now + 60_000);
  assert.equal(ledger.account(minuteOf(bot, now + 60_000).id)?.settled.tokens, 500);
  assert.equal(ledger.account(minuteOf(bot, now).id)?.settled.tokens, 0);
});

test('a call larger than the whole token rate passes alone in a minute and is charged when it settles', () => {
  const { ledger, request } = ledgerFor(plan(node(bot, [], { tokensPerMinute: 1000 })));
  const { grant } = granted(request({ tokens: 5000 }));
  assert.equal(grant.amount.tokens, 1000);
  assert.equal(denied(request({ tokens: 1 })).code, 'rate_limited');
  charge(ledger, grant, { nano: 0, requests: 0, tokens: 4500 }, now);
  assert.equal(denied(request({ tokens: 5000 }, now + 60_000)).code, 'rate_limited');
  granted(request({ tokens: 5000 }, now + 5 * 60_000));
});

test('released money can be granted again, burned money cannot until it is credited', () => {
  const { ledger, request } = ledgerFor(plan(node(bot, [{ usdNano: 100 }])));
  const released = granted(request({ boundNano: 100 })).grant;
  charge(ledger, released, { nano: 10, requests: 0, tokens: 0 }, now);
  closeGrant(ledger, ledger.grants.get('g1') ?? released, 'release', now);
  const burned = granted(request({ boundNano: 90 })).grant;
  charge(ledger, burned, { nano: 20, requests: 0, tokens: 0 }, now);
  const closed = closeGrant(ledger, ledger.grants.get('g2') ?? burned, 'burn', now);
  assert.deepEqual(ledger.account(day(bot)), {
    settled: { ...nothing, nano: 30 },
    burned: { ...nothing, nano: 70 },
    outstanding: nothing,
    holders: 0,
  });
  assert.equal(denied(request({ boundNano: 1 })).code, 'budget_exhausted');
  creditBurned(ledger, closed, 30, now);
  assert.equal(denied(request({ boundNano: 31 })).availableNano, 30);
  creditBurned(ledger, ledger.grants.get('g2') ?? closed, 40, now);
  granted(request({ boundNano: 70 }));
});

test('burned requests come back with the last of the burned money', () => {
  const { ledger, request } = ledgerFor(plan(node(bot, [{ usdNano: 100, requests: 1 }])));
  const closed = closeGrant(ledger, granted(request({ boundNano: 100, atLeastRequests: 1 })).grant, 'burn', now);
  creditBurned(ledger, closed, 60, now);
  assert.deepEqual(ledger.account(day(bot))?.burned, { nano: 40, requests: 1, tokens: 0 });
  creditBurned(ledger, ledger.grants.get('g1') ?? closed, 40, now);
  assert.deepEqual(ledger.account(day(bot))?.burned, nothing);
});

test('a late entry of a grant whose burned money was given back is charged as debt', () => {
  const { ledger, request } = ledgerFor(plan(node(bot, [{ usdNano: 100 }])));
  const closed = closeGrant(ledger, granted(request({ boundNano: 100 })).grant, 'burn', now);
  creditBurned(ledger, closed, 70, now);
  granted(request({ boundNano: 70 }));
  assert.equal(charge(ledger, ledger.grants.get('g1') ?? closed, { nano: 60, requests: 0, tokens: 0 }, now), 30);
  assert.equal(committed(ledger.account(day(bot)) ?? assert.fail()).nano, 130);
  assert.equal(denied(request({ boundNano: 1 })).availableNano, 0);
});

test('what entries charged is given back at once, while its grant is open and after it was closed', () => {
  const { ledger, request } = ledgerFor(plan(node(org, [{ usdNano: 100 }]), node(bot, [{ usdNano: 100 }])));
  const { grant } = granted(request({ boundNano: 100 }));
  charge(ledger, grant, { nano: 90, requests: 0, tokens: 0 }, now);
  creditSettled(ledger, ledger.grants.get('g1') ?? grant, 50, now);
  const open = ledger.grants.get('g1') ?? grant;
  assert.deepEqual([open.amount.nano, open.settled.nano], [50, 40], 'it has no more left than before');
  for (const key of [org, bot]) assert.equal(committed(ledger.account(day(key)) ?? assert.fail()).nano, 50);
  closeGrant(ledger, open, 'release', now);
  creditSettled(ledger, ledger.grants.get('g1') ?? grant, 40, now);
  for (const key of [org, bot]) assert.deepEqual(ledger.account(day(key)), zero);
});

test('a debt is given back as well', () => {
  const { ledger, request } = ledgerFor(plan(node(bot, [{ usdNano: 100, requests: 9 }])));
  const { grant } = granted(request({ boundNano: 60, atLeastRequests: 1, wantRequests: 2 }));
  assert.equal(charge(ledger, grant, { nano: 150, requests: 1, tokens: 0 }, now), 90);
  creditSettled(ledger, ledger.grants.get('g1') ?? grant, 150, now);
  closeGrant(ledger, ledger.grants.get('g1') ?? grant, 'release', now);
  assert.deepEqual(ledger.account(day(bot)), { ...zero, settled: { ...nothing, requests: 1 } });
});

test('a late entry of a burned grant is charged to what was burned', () => {
  const { ledger, request } = ledgerFor(plan(node(bot, [{ usdNano: 100 }])));
  const closed = closeGrant(ledger, granted(request({ boundNano: 100 })).grant, 'burn', now);
  assert.equal(charge(ledger, closed, { nano: 60, requests: 0, tokens: 0 }, now), 0);
  const account = ledger.account(day(bot));
  assert.deepEqual([account?.settled.nano, account?.burned.nano], [60, 40]);
});

test('a cost beyond the grant is charged in full as debt that blocks new grants', () => {
  const { ledger, request } = ledgerFor(plan(node(bot, [{ usdNano: 100 }])));
  const { grant } = granted(request({ boundNano: 50 }));
  assert.equal(charge(ledger, grant, { nano: 90, requests: 0, tokens: 0 }, now), 40);
  const account = ledger.account(day(bot));
  assert.equal(account && committed(account).nano, 90);
  assert.equal(denied(request({ boundNano: 11 })).code, 'budget_exhausted');
  granted(request({ boundNano: 10 }));
});

test('the ledger closes a grant when nothing of it is left', () => {
  const { ledger, request } = ledgerFor(plan(node(bot, [{ usdNano: 100 }])));
  const { grant } = granted(request({ boundNano: 50 }));
  charge(ledger, grant, { nano: 50, requests: 1, tokens: 0 }, now);
  assert.equal(ledger.grants.get(grant.id)?.open, false);
  assert.deepEqual(ledger.account(day(bot))?.settled, { nano: 50, requests: 1, tokens: 0 });
  assert.equal(ledger.account(day(bot))?.holders, 0);
});

test('a call settles in the window in which it was reserved', () => {
  const { ledger, request } = ledgerFor(plan(node(bot, [{ usdNano: 100 }])));
  const { grant } = granted(request({ boundNano: 100 }));
  const tomorrow = now + 86_400_000;
  granted(request({ boundNano: 100 }, tomorrow));
  charge(ledger, grant, { nano: 100, requests: 0, tokens: 0 }, tomorrow);
  assert.equal(ledger.account(day(bot))?.settled.nano, 100);
  assert.equal(ledger.account(`${bot}|Day|2026-11-22T00:00:00.000Z`)?.settled.nano, 0);
});

test('a lowered cap grants nothing new while more is committed, and a raised one takes effect at once', () => {
  const { request } = ledgerFor(plan(node(bot, [{ usdNano: 100 }])));
  granted(request({ boundNano: 80 }));
  assert.equal(denied(request({ boundNano: 1 }, now, plan(node(bot, [{ usdNano: 50 }])))).code, 'budget_reserved');
  granted(request({ boundNano: 100 }, now, plan(node(bot, [{ usdNano: 180 }]))));
});

test('holders are counted once each, whatever they hold', () => {
  const { ledger, request } = ledgerFor(plan(node(bot, [{ usdNano: 100 }])));
  const first = granted(request({ boundNano: 1 })).grant;
  granted(request({ boundNano: 1 }));
  granted(request({ boundNano: 1, stream: `${bot}@p2` as StreamId }));
  assert.equal(ledger.account(day(bot))?.holders, 2);
  closeGrant(ledger, first, 'release', now);
  assert.equal(ledger.account(day(bot))?.holders, 2);
});

test('the message of a denial names the account, the key or the stream in text', () => {
  const denial = { code: 'budget_reserved', message: 'held', retryAfterSeconds: 1, availableNano: 0 } as const;
  assert.equal(wireDenial({ ...denial, limitedBy: { key: bot, window: 'Day' } }).limitedBy, 'agents/bot Day');
  assert.equal(wireDenial({ ...denial, limitedBy: bot }).limitedBy, 'agents/bot');
});

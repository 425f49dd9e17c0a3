import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import oracle from 'canonicalize';
import { canonicalize } from '../../core/audit/canonical.ts';
import type { CallBody } from '../../core/audit/types.ts';
import { keyName, type TokenId } from '../../core/names.ts';
import { keyDocument, openai, usage } from '../line.fixture.ts';
import { type CallOutcome, type CallRequest, callBody } from './audit.ts';

const request: CallRequest = {
  requestId: 'req_1',
  startedMs: Date.UTC(2026, 10, 20, 10, 0, 0),
  document: keyDocument({ path: [keyName('platform', 'org'), keyName('platform', 'team-ml')] }),
  tokenId: 'aa' as TokenId,
  endpoint: '/v1/chat/completions',
  dialect: 'openai.chat',
};

const end = { nowMs: request.startedMs + 1234, counts: [] };

const answered: CallOutcome = {
  code: 'ok',
  status: 200,
  settlement: { costNano: 200, usage: usage(100, 50, { reasoning: 20, fees: { webSearch: 1 } }), estimated: false },
  paidFrom: [{ costNanoUsd: '200', grant: 'g-1', requests: 1 }],
  attempts: [
    { pool: openai, credential: 'proj-a', status: 429, outcome: 'refused' },
    { pool: openai, credential: 'proj-b', status: 200, outcome: 'answered' },
  ],
  servedModel: 'gpt-5.4-mini-2026-03-17',
  priceBook: 'sha256:prices',
  firstByteMs: request.startedMs + 250,
  responseSha256: 'bb',
};

/** The entry's body as it is read back from its bytes. */
function written(outcome: CallOutcome): CallBody {
  return JSON.parse(canonicalize(callBody(request, outcome, end)));
}

const trace = '4bf92f3577b34da6a3ce929d0e0e4736';

test('the entry of an answered call is the contract, byte for byte', () => {
  const traceparent = `00-${trace}-00f067aa0ba902b7-01`;
  const body = callBody({ ...request, traceparent, requestSha256: hash('sha256', '{}'), stream: true, model: 'fast' }, answered, end);
  const golden = [
    '{"attempts":[{"costNanoUsd":"0","credential":"proj-a","pool":"platform/openai","status":429},',
    '{"costNanoUsd":"200","credential":"proj-b","pool":"platform/openai","status":200}],',
    '"code":"ok","costNanoUsd":"200","dialect":"openai.chat","endpoint":"/v1/chat/completions","estimated":false,',
    '"key":"agents/bot","labels":{"project":"atlas"},"latencyMs":1234,"model":"fast","owner":{"team":"ml"},',
    '"paidFrom":[{"costNanoUsd":"200","grant":"g-1","requests":1}],"path":["platform/org","platform/team-ml"],',
    '"policy":"sha256:policy","priceBook":"sha256:prices","requestId":"req_1",',
    '"requestSha256":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","responseSha256":"bb",',
    '"servedModel":"gpt-5.4-mini-2026-03-17","status":200,"stream":true,"time":"2026-11-20T10:00:01.234Z","tokenId":"aa",',
    `"trace":"${trace}","ttftMs":250,"type":"call",`,
    '"usage":{"cacheWrite":0,"cachedInput":0,"input":100,"output":50,"reasoning":20},"v":1}',
  ];
  assert.equal(canonicalize(body), golden.join(''));
  assert.equal(oracle(body), golden.join(''));
  assert.equal(JSON.stringify(body), golden.join(''), 'the members are written in order, which is the fast way');
});

test('a count is an attempt that says so, and an answer that may be continued is named by a hash', () => {
  const counted = { pool: openai, credential: 'proj-a', status: 200, outcome: 'refused', purpose: 'count' } as const;
  const text = JSON.stringify(callBody(request, { ...answered, answerSha256: 'cc' }, { ...end, counts: [counted] }));
  const first = '{"costNanoUsd":"0","credential":"proj-a","pool":"platform/openai","purpose":"count","status":200}';
  assert.ok(text.startsWith(`{"answerSha256":"cc","attempts":[${first},`), text);
});

test('what is unknown is absent, never null', () => {
  const body = written({
    code: 'model_denied',
    status: 403,
    settlement: { costNano: 0, usage: null, estimated: false },
    paidFrom: [],
    attempts: [{ pool: openai, credential: 'proj-a', outcome: 'not_sent' }],
    limitedBy: undefined,
  });
  assert.deepEqual(Object.keys(body), [
    ...['attempts', 'code', 'costNanoUsd', 'dialect', 'endpoint', 'estimated', 'key', 'labels', 'latencyMs', 'owner', 'paidFrom', 'path'],
    ...['policy', 'requestId', 'status', 'stream', 'time', 'tokenId', 'type', 'v'],
  ]);
  assert.deepEqual(body.attempts, [{ costNanoUsd: '0', credential: 'proj-a', pool: 'platform/openai' }]);
  assert.equal(body.stream, false);
});

test('a bill above its bound names what it teaches, of which model in which pool', () => {
  const breach = { pool: openai, model: 'gpt-5.4-mini', percent: 200, features: ['tools' as const], possible: true };
  const text = JSON.stringify(callBody(request, { ...answered, breach }, end));
  const members = `"breach":{"features":["tools"],"model":"gpt-5.4-mini","percent":200,"pool":"${openai}","possible":true},"code":"ok"`;
  assert.ok(text.includes(members), text);
});

test('a refusal names the account that refused', () => {
  const body = callBody(request, { ...answered, code: 'budget_exhausted', limitedBy: 'platform/team-ml Month' }, end);
  assert.equal(body.limitedBy, 'platform/team-ml Month');
});

test('the whole cost belongs to the last attempt, so that the attempts sum up to the call', () => {
  const body = callBody(request, { ...answered, attempts: [...answered.attempts, ...answered.attempts] }, end);
  assert.deepEqual(
    body.attempts.map(({ costNanoUsd }) => costNanoUsd),
    ['0', '0', '0', '200'],
  );
});

test('an attempt that was sent again has its bound, and the last attempt the rest', () => {
  const [refused, last] = answered.attempts;
  assert.ok(refused !== undefined && last !== undefined);
  const lost = { pool: openai, credential: 'proj-a', outcome: 'unknown' } as const;
  const settlement = { ...answered.settlement, costNano: 300, lostNano: 100 };
  const body = callBody(request, { ...answered, settlement, attempts: [lost, refused, last] }, end);
  assert.deepEqual(
    body.attempts.map(({ costNanoUsd }) => costNanoUsd),
    ['100', '0', '200'],
  );
});

test('the trace id of a W3C traceparent is kept, anything else is not', () => {
  const of = (traceparent: string | undefined): string | undefined => callBody({ ...request, traceparent }, answered, end).trace;
  assert.equal(of(`00-${trace}-00f067aa0ba902b7-01`), trace);
  assert.equal(of(`cc-${trace}-00f067aa0ba902b7-01-later-version`), trace);
  for (const bad of [undefined, '', trace, `00-${trace.toUpperCase()}-00f067aa0ba902b7-01`, `00-${trace.slice(1)}-00f067aa0ba902b7-01`])
    assert.equal(of(bad), undefined);
});

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createChain } from '../../core/audit/chain.ts';
import type { ProxyBody } from '../../core/audit/types.ts';
import { type KeyName, keyName, tokenId } from '../../core/names.ts';
import { type ControlPort, ControlUnavailable } from '../../core/protocol/control.ts';
import { encodeEntries } from '../../core/protocol/entry-wire.ts';
import type { ShipReply } from '../../core/protocol/evidence.ts';
import type { GrantReply, GrantRequest } from '../../core/protocol/money.ts';
import type { Push, Snapshot } from '../../core/protocol/snapshot.ts';
import { isToken } from '../../core/token.ts';
import { callBody } from '../evidence/evidence.fixture.ts';

const usd = 1_000_000_000;
const bot = keyName('agents', 'bot');
const twin = keyName('agents', 'twin');

/** The keys of the suite: two keys of a gateway below a lifetime budget of one dollar; `agents/bot` may mint two children, two deep. */
export const conformanceKeys = {
  'agents/team': { issueToken: false, limits: [{ window: 'Total', usd: '1.00' }] },
  'agents/bot': { parentRef: { name: 'team' }, delegation: { maxDepth: 2, maxChildren: 2 }, delivery: ['Gateway'] },
  'agents/twin': { parentRef: { name: 'team' }, delivery: ['Gateway'] },
} as const;

/** One placement of the control port under test, with `conformanceKeys` declared. */
export interface Subject {
  /** The control port of `proxy-1`. */
  readonly control: ControlPort;
  /** The control port of another proxy, of this name. */
  another(instance: string): Promise<ControlPort>;
  /** Cuts the connection to the operator, as its crash would. */
  cut(): void;
  close(): Promise<void>;
}

/** Writes one stream as a proxy does. */
interface Stream {
  readonly epoch: number;
  ship(body: ProxyBody): Promise<ShipReply>;
  /** Sends the last shipment once more. */
  again(): Promise<ShipReply>;
  grant(figures: Partial<GrantRequest>, signal?: AbortSignal): Promise<GrantReply>;
}

async function openStream(control: ControlPort, key: KeyName, instance = 'proxy-1'): Promise<Stream> {
  const opened = await control.open({ key, instance });
  const { stream, epoch, nonce } = opened;
  const chain = createChain({ stream, epoch, key: Buffer.from(opened.chainKey, 'hex') });
  let last: Parameters<ControlPort['ship']>[0] = { entries: encodeEntries([]) };
  const ship = (body: ProxyBody): Promise<ShipReply> => {
    last = { entries: encodeEntries([chain.append(body, randomBytes)]) };
    return control.ship(last);
  };
  await ship({ v: 1, type: 'epoch_open', time: time(), key, instance, nonce, bootId: 'boot' });
  let requests = 0;
  return {
    epoch,
    ship,
    again: () => control.ship(last),
    grant(figures, signal) {
      requests += 1;
      const money = {
        atLeastNano: 0,
        preferredNano: 0,
        boundNano: 0,
        wantNano: 0,
        atLeastRequests: 0,
        wantRequests: 0,
        tokens: 0,
      } as const;
      return control.grant({ stream, epoch, head: chain.head(), askId: `ask-${requests}`, ...money, ...figures }, signal);
    },
  };
}

function time(): string {
  return new Date().toISOString();
}

function releaseOf(key: KeyName, grants: readonly string[]): ProxyBody {
  return { v: 1, type: 'release', time: time(), key, grants };
}

function grantOf(reply: GrantReply) {
  assert.ok('grant' in reply, JSON.stringify(reply));
  return reply.grant;
}

/** Resolves with the first push that fits. */
function nextPush<P extends Push>(control: ControlPort, fits: (push: Push) => push is P): Promise<P> {
  return new Promise((resolve) => {
    const stop = control.watch((push) => {
      if (!fits(push)) return;
      setImmediate(() => stop());
      resolve(push);
    });
  });
}

const isSnapshot = (push: Push): push is Snapshot => push.kind === 'snapshot';

/** Tests the behaviour of a control port, over any channel. */
export function controlConformance(name: string, open: () => Promise<Subject>): void {
  function behaves(what: string, check: (subject: Subject) => Promise<void>): void {
    test(`${name}: ${what}`, async () => {
      const subject = await open();
      try {
        await check(subject);
      } finally {
        await subject.close();
      }
    });
  }

  behaves('a watch gives the whole state at once', async ({ control }) => {
    const snapshot = await nextPush(control, isSnapshot);
    assert.deepEqual(snapshot.keys.map(({ document }) => document.key).sort(), [bot, twin]);
    assert.deepEqual(snapshot.credentials, [{ pool: 'platform/openai', name: 'a', value: 'sk-real' }]);
    assert.ok(snapshot.keys.every(({ tokens }) => tokens.length === 1));
  });

  behaves('each opening of a stream is its next epoch, under another chain key', async ({ control }) => {
    const first = await control.open({ key: bot, instance: 'proxy-1' });
    const second = await control.open({ key: bot, instance: 'proxy-1' });
    assert.deepEqual([first.stream, first.epoch, second.epoch], ['agents/bot@proxy-1', 1, 2]);
    assert.match(first.chainKey, /^[0-9a-f]{64}$/);
    assert.notEqual(first.chainKey, second.chainKey);
  });

  behaves('a stream of a key that nobody declared is not opened', async ({ control }) => {
    await assert.rejects(control.open({ key: keyName('agents', 'nobody'), instance: 'proxy-1' }), ControlUnavailable);
  });

  behaves('the same entries twice are acknowledged twice and stored once', async ({ control }) => {
    const stream = await openStream(control, bot);
    const reply = await stream.ship({ v: 1, type: 'heartbeat', time: time(), key: bot });
    assert.deepEqual(reply, { acks: [{ stream: 'agents/bot@proxy-1', epoch: 1, seq: 1 }], rejected: [] });
    assert.deepEqual(await stream.again(), reply);
  });

  behaves('the size of an answer is known by the hash of its id, to the key that received it', async ({ control }) => {
    const stream = await openStream(control, bot);
    const answerSha256 = 'ab'.repeat(32);
    const usage = { input: 100, cachedInput: 20, cacheWrite: 3, output: 50, reasoning: 40 };
    await stream.ship({ ...callBody([]), answerSha256, usage });
    assert.equal(await control.answerTokens(bot, answerSha256), 173);
    assert.equal(await control.answerTokens(twin, answerSha256), null);
    assert.equal(await control.answerTokens(bot, 'cd'.repeat(32)), null);
    await assert.rejects(control.answerTokens(bot, 'resp_1'), ControlUnavailable);
  });

  behaves('many shipments at once are each answered for their own streams', async ({ control, another }) => {
    const others = ['proxy-2', 'proxy-3', 'proxy-4'];
    const proxies = [
      ['proxy-1', control] as const,
      ...(await Promise.all(others.map(async (name) => [name, await another(name)] as const))),
    ];
    const pairs = proxies.flatMap(([instance, port]) => [bot, twin].map((key) => ({ key, instance, port })));
    const streams = await Promise.all(pairs.map(({ key, instance, port }) => openStream(port, key, instance)));
    const ships = streams.map((stream, index) => stream.ship({ v: 1, type: 'heartbeat', time: time(), key: pairs[index]?.key ?? bot }));
    const replies = await Promise.all(ships);
    assert.deepEqual(
      replies.map(({ acks }) => acks.map(({ stream, seq }) => `${stream} ${seq}`)),
      pairs.map(({ key, instance }) => [`${key}@${instance} 1`]),
    );
  });

  behaves('money is granted only to a stream that is stored up to its head', async ({ control }) => {
    const stream = await openStream(control, bot);
    const hidden = await stream.grant({ boundNano: usd / 10, head: 5 });
    assert.equal('denial' in hidden && hidden.denial.code, 'grant_unavailable');
    assert.ok(grantOf(await stream.grant({ boundNano: usd / 10 })).amountNano >= usd / 10);
  });

  behaves('the same request twice gives the same grant', async ({ control }) => {
    const stream = await openStream(control, bot);
    const first = grantOf(await stream.grant({ boundNano: usd / 10, askId: 'same' }));
    const second = grantOf(await stream.grant({ boundNano: usd / 10, askId: 'same' }));
    assert.deepEqual([second.id, second.amountNano], [first.id, first.amountNano]);
    const { accounts } = await control.account(bot);
    assert.equal(accounts.find(({ key }) => key === 'agents/team')?.outstandingNanoUsd, String(first.amountNano));
  });

  behaves('what another key holds idle is recalled, and the waiting request gets it', async ({ control }) => {
    const [holder, asker] = [await openStream(control, bot), await openStream(control, twin)];
    const held = grantOf(await holder.grant({ boundNano: usd, atLeastNano: usd, preferredNano: usd }));
    const stop = control.watch((push) => {
      if (push.kind === 'recall' && push.keys.includes(bot)) void holder.ship(releaseOf(bot, [held.id]));
    });
    const started = performance.now();
    let reply = await asker.grant({ boundNano: usd, atLeastNano: usd, preferredNano: usd });
    if ('denial' in reply) {
      // It waited for the maximum time; on a busy machine, the release was too late.
      assert.ok(performance.now() - started >= 250, JSON.stringify(reply));
      for (let tries = 0; 'denial' in reply && tries < 20; tries += 1)
        reply = await asker.grant({ boundNano: usd, atLeastNano: usd, preferredNano: usd });
    }
    stop();
    assert.equal(grantOf(reply).amountNano, usd);
  });

  behaves('what is not released in time is refused as reserved', async ({ control }) => {
    const [holder, asker] = [await openStream(control, bot), await openStream(control, twin)];
    grantOf(await holder.grant({ boundNano: usd, atLeastNano: usd, preferredNano: usd }));
    const started = performance.now();
    const reply = await asker.grant({ boundNano: usd, atLeastNano: usd, preferredNano: usd });
    assert.equal('denial' in reply && reply.denial.code, 'budget_reserved');
    assert.ok(performance.now() - started < 10_000);
  });

  behaves('a request that may wait is held until money is released, or until its proxy takes it back', async ({ control }) => {
    const [holder, asker] = [await openStream(control, bot), await openStream(control, twin)];
    const held = grantOf(await holder.grant({ boundNano: usd, atLeastNano: usd, preferredNano: usd }));
    const figures = {
      boundNano: usd,
      atLeastNano: usd,
      preferredNano: usd,
      wait: { waitedMs: 0, maxWaitMs: 60_000, holdMs: 60_000, others: [] },
    };
    const leaver = new AbortController();
    const left = asker.grant(figures, leaver.signal);
    const waiting = asker.grant(figures);
    await sleep(400);
    leaver.abort();
    const denied = await left;
    assert.equal('denial' in denied && denied.denial.code, 'budget_reserved');
    await holder.ship(releaseOf(bot, [held.id]));
    assert.equal(grantOf(await waiting).amountNano, usd);
  });

  behaves('a sub-agent key is active before its token is returned, and dead when it is deleted', async ({ control }) => {
    const seen: Snapshot[] = [];
    const stop = control.watch((push) => void (push.kind === 'snapshot' && seen.push(push)));
    const minted = await control.mint(bot, { name: 'sub', usdNano: usd / 2, models: ['small'] });
    assert.ok('token' in minted, JSON.stringify(minted));
    assert.ok(isToken(minted.token));
    const served = seen.at(-1)?.keys.find(({ document }) => document.key === 'agents/bot.sub');
    assert.deepEqual(
      served?.tokens.map(({ id }) => id),
      [tokenId(minted.token)],
    );
    assert.deepEqual(served?.document.models.allow, [['small']]);
    assert.deepEqual(await control.children(bot), [minted.child]);
    assert.equal(await control.unmint(twin, minted.child.key), false);
    assert.equal(await control.unmint(bot, minted.child.key), true);
    assert.equal(await control.unmint(bot, minted.child.key), false);
    assert.equal(seen.at(-1)?.keys.length, 2);
    stop();
  });

  behaves('a parent cannot spend an escrow until the sub-agent key ends', async ({ control }) => {
    const stream = await openStream(control, bot);
    const minted = await control.mint(bot, { usdNano: (usd * 9) / 10 });
    assert.ok('token' in minted);
    assert.ok('denial' in (await stream.grant({ boundNano: usd / 2, atLeastNano: usd / 2, preferredNano: usd / 2 })));
    await control.unmint(bot, minted.child.key);
    assert.equal(
      grantOf(await stream.grant({ boundNano: usd / 2, atLeastNano: usd / 2, preferredNano: usd / 2 })).amountNano >= usd / 2,
      true,
    );
  });

  behaves('a stopped watch receives nothing more', async ({ control }) => {
    let pushes = 0;
    const stop = control.watch(() => {
      pushes += 1;
    });
    await control.children(bot);
    stop();
    await control.mint(bot, {});
    await sleep(10);
    assert.equal(pushes, 1);
  });

  behaves('calls that wait when the operator is lost are rejected, and so are later ones', async ({ control, cut }) => {
    const waiting = assert.rejects(control.children(bot), ControlUnavailable);
    cut();
    await waiting;
    await assert.rejects(control.account(bot), ControlUnavailable);
  });
}

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { keyName } from '../../core/names.ts';
import { TokenCounts } from './token-counts.ts';

const bot = keyName('agents', 'bot');

describe('TokenCounts', () => {
  let nowMs = 0;
  const make = (): TokenCounts => {
    nowMs = 0;
    return new TokenCounts(() => nowMs);
  };

  it('remembers a count for a minute, also that there was none', () => {
    const counts = make();
    assert.equal(counts.recall('a'), undefined);
    counts.remember('a', 5);
    counts.remember('b', null);
    nowMs = 59_999;
    assert.equal(counts.recall('a'), 5);
    assert.equal(counts.recall('b'), null);
    nowMs = 60_000;
    assert.equal(counts.recall('a'), undefined);
  });

  it('forgets the oldest of too many', () => {
    const counts = make();
    for (let body = 0; body < 2000; body += 1) counts.remember(`${body}`, body);
    assert.equal(counts.recall('0'), undefined);
    assert.equal(counts.recall('1999'), 1999);
  });

  it('lets a key ask a hundred times a minute', () => {
    const counts = make();
    const asked = (): number => Array.from({ length: 140 }, () => counts.take({ key: bot }, 'sys/openai a')).filter(Boolean).length;
    assert.equal(asked(), 100);
    nowMs = 60_000;
    assert.equal(asked(), 100);
  });

  it('lets no number of sub-agents renew what a credential has used', () => {
    const counts = make();
    const asked = Array.from({ length: 5000 }, (_, n) => counts.take({ key: keyName('agents', `sub-${n}`) }, 'sys/openai a'));
    assert.equal(asked.filter(Boolean).length, 300);
  });

  it('lets a key ask no more often than its rate', () => {
    const counts = make();
    assert.equal(counts.take({ key: bot, requestsPerMinute: 1 }, 'sys/openai a'), true);
    assert.equal(counts.take({ key: bot, requestsPerMinute: 1 }, 'sys/openai a'), false);
  });

  it('lets all keys together ask each credential three hundred times a minute', () => {
    const counts = make();
    const asked = (credential: string): number =>
      Array.from({ length: 400 }, (_, key) => counts.take({ key: keyName('agents', `${key}`) }, credential)).filter(Boolean).length;
    assert.equal(asked('sys/openai a'), 300);
    assert.equal(asked('sys/openai b'), 300);
  });
});

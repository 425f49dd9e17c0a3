import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { tokenPrice } from './in-force.ts';

const dated = {
  id: 'm',
  prices: [
    { prices: { input_mtok: 10, output_mtok: 10 } },
    { constraint: { type: 'start_date' as const, start_date: '2026-03-01' }, prices: { input_mtok: 2, output_mtok: 8 } },
  ],
};
const hourly = {
  id: 'm',
  prices: [
    { prices: { input_mtok: 2, output_mtok: 8, web_searches_kcount: 1 } },
    {
      constraint: { type: 'time_of_date' as const, start_time: '16:30:00Z', end_time: '00:30:00Z' },
      prices: { input_mtok: { base: 1, tiers: [{ start: 100, price: 9 }] }, output_mtok: 4, web_searches_kcount: 3 },
    },
  ],
};

describe('tokenPrice', () => {
  it('takes the last price that has started, from the first moment of its day', () => {
    const input = (at: string): number | undefined => tokenPrice(dated, Date.parse(at))?.rates.input;
    assert.deepEqual([input('2020-01-01'), input('2026-02-28T23:59:59.999Z'), input('2026-03-01')], [10_000_000, 10_000_000, 2_000_000]);
  });

  it('takes the dearest of the day, class by class and tier by tier, where the hour decides', () => {
    for (const at of ['2026-01-01T10:00:00Z', '2026-01-01T20:00:00Z']) {
      const price = tokenPrice(hourly, Date.parse(at));
      assert.deepEqual([price?.rates.input, price?.rates.output, price?.webSearch], [2_000_000, 8_000_000, 3_000_000]);
      assert.deepEqual(
        price?.tiers.map(({ above, rates }) => [above, rates.input, rates.output]),
        [[100, 9_000_000, 8_000_000]],
      );
    }
  });

  it('prices nothing where one of the prices that may apply is unknown', () => {
    const half = {
      id: 'm',
      prices: [
        ...hourly.prices,
        { constraint: { type: 'time_of_date' as const, start_time: '01:00:00Z', end_time: '02:00:00Z' }, prices: {} },
      ],
    };
    assert.equal(tokenPrice(half, 0), null);
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { tableOn } from './dated.ts';

const dated = {
  id: 'm',
  prices: [
    { prices: { input_mtok: 10, output_mtok: 10 } },
    { constraint: { type: 'start_date' as const, start_date: '2026-03-01' }, prices: { input_mtok: 2, output_mtok: 8 } },
  ],
};
const byHour = { type: 'time_of_date' as const, start_time: '16:30:00Z', end_time: '00:30:00Z' };
const hourly = {
  id: 'm',
  prices: [
    { prices: { input_mtok: 2, output_mtok: 8, input_audio_mtok: 3 } },
    { constraint: byHour, prices: { input_mtok: { base: 1, tiers: [{ start: 100, price: 9 }] }, output_mtok: 4 } },
  ],
};

describe('tableOn', () => {
  it('takes the last price that has started, from the first moment of its day', () => {
    const input = (at: string): number | undefined => tableOn(dated, Date.parse(at))?.base.input;
    assert.deepEqual([input('2020-01-01'), input('2026-02-28T23:59:59.999Z'), input('2026-03-01')], [10_000_000, 10_000_000, 2_000_000]);
  });

  it('takes the dearest of the day, class by class and tier by tier, where the hour decides', () => {
    for (const at of ['2026-01-01T10:00:00Z', '2026-01-01T20:00:00Z']) {
      assert.deepEqual(tableOn(hourly, Date.parse(at)), {
        base: { input: 2_000_000, output: 8_000_000 },
        tiers: [{ above: 100, classes: { input: 9_000_000, output: 8_000_000 } }],
      });
    }
  });

  it('prices nothing where one of the lists that may apply is unknown', () => {
    assert.equal(tableOn({ id: 'm', prices: [...hourly.prices, { constraint: byHour, prices: {} }] }, 0), null);
  });
});

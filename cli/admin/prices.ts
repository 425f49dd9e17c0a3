import type { PriceListing, WaitingPrice } from '../../operator/prices/listing.ts';
import { readOptions } from '../command.ts';
import { type PricesOptions, readPricesOptions } from '../options/prices.ts';
import type { Streams } from '../streams.ts';
import { askAdmin, KeysFailed } from './admin.ts';
import { tableText } from './table.ts';

const usage = `keyforge prices list [--json]
keyforge prices acknowledge PROVIDER[/MODEL]
             [--data DIR] [--admin http://127.0.0.1:8788]

Shows and accepts changes of providers' prices, at the KeyForge that runs on a data folder (default .keyforge).

  list         every price that waits for an acknowledgement, in dollars per million tokens. Until then the dearest applies.
  acknowledge  accepts what the sources say now of one model, or of all models of a provider; later changes wait anew

Exit code: 0 done, 1 failed, 2 wrong usage.
`;

/** `keyforge prices`: resolves to the exit code. */
export async function runPrices(args: readonly string[], io: Streams): Promise<number> {
  const options = readOptions({ name: 'keyforge prices', text: usage, read: readPricesOptions }, args, io);
  if (typeof options === 'number') return options;
  try {
    io.stdout.write(await perform(options));
    return 0;
  } catch (error) {
    if (!(error instanceof KeysFailed)) throw error;
    io.stderr.write(`keyforge prices: ${error.message}\n`);
    return 1;
  }
}

async function perform(options: PricesOptions): Promise<string> {
  const { action, provider = '', model, json } = options;
  switch (action) {
    case 'list': {
      const reply = (await askAdmin(options, { method: 'GET', path: '/v1/prices' })) as { readonly waiting: readonly PriceListing[] };
      return json ? `${JSON.stringify(reply)}\n` : priceTable(reply.waiting);
    }
    case 'acknowledge': {
      const query = model === undefined ? '' : `?model=${encodeURIComponent(model)}`;
      const path = `/v1/prices/${encodeURIComponent(provider)}/acknowledge${query}`;
      const reply = (await askAdmin(options, { method: 'POST', path })) as { readonly models: readonly string[] };
      return json ? `${JSON.stringify(reply)}\n` : `accepted the prices of ${reply.models.join(', ')}\n`;
    }
  }
}

const reasons: Readonly<Record<WaitingPrice['reason'], string>> = {
  sources_differ: 'the sources differ by more than half',
  rose: 'rose by more than half',
  fell: 'fell by more than half',
  fell_without_agreement: 'fell, and the sources do not agree',
};

function priceTable(waiting: readonly PriceListing[]): string {
  if (waiting.length === 0) return 'no price waits\n';
  const rows = waiting.flatMap(({ provider, model, prices }) =>
    prices.map(({ class: name, from, to, inForce, reason }) => [
      `${provider}/${model}`,
      name,
      `$${from}`,
      `$${to}`,
      `$${inForce}`,
      reasons[reason],
    ]),
  );
  return tableText([['MODEL', 'CLASS', 'FROM', 'TO', 'IN FORCE', 'REASON'], ...rows]);
}

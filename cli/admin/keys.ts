import { join } from 'node:path';
import type { CreditReply } from '../../operator/api/credit.ts';
import type { RotatedKey } from '../../operator/keys/desk.ts';
import type { KeyListing, LimitListing } from '../../operator/keys/listing.ts';
import { readOptions } from '../command.ts';
import { type KeysOptions, readKeysOptions } from '../options/keys.ts';
import type { Streams } from '../streams.ts';
import { askAdmin, KeysFailed } from './admin.ts';
import { creditText } from './credit.ts';
import { tableText } from './table.ts';

const usage = `keyforge keys list [--json]
keyforge keys revoke NAMESPACE/NAME
keyforge keys rotate NAMESPACE/NAME [--overlap 24h]
keyforge keys credit NAMESPACE/NAME [--usd 0.50] [--dry-run] --reason TEXT [--json]
             [--data DIR] [--admin http://127.0.0.1:8788]

Administers the KeyForge that runs on a data folder (default .keyforge).

  list    every key with its state, what it spent and what it has left
  revoke  ends the key's tokens and its sub-agent keys now, for good: also over restarts. Only rotate, or deleting its
          manifest and creating it again, brings the key back. Its accounts stay as they are.
  rotate  a new token now, in DIR/tokens/NAMESPACE/NAME. The old one works for --overlap more; without it for the
          manifest's spec.rotation.overlap, else not at all.
  credit  gives back what was charged without a measurement in the last 30 days: estimated calls (the newest 10,000),
          calls that a crash left open, and what burned with a lost record. Check the provider's bill first. All of it,
          or --usd of it, oldest first, to every key that paid; --dry-run only lists it. The record holds --reason. A
          charge is given back once, and only when no record can change it any more.

Exit code: 0 done, 1 failed, 2 wrong usage.
`;

/** `keyforge keys`: resolves to the exit code. */
export async function runKeys(args: readonly string[], io: Streams): Promise<number> {
  const options = readOptions({ name: 'keyforge keys', text: usage, read: readKeysOptions }, args, io);
  if (typeof options === 'number') return options;
  try {
    io.stdout.write(await perform(options));
    return 0;
  } catch (error) {
    if (!(error instanceof KeysFailed)) throw error;
    io.stderr.write(`keyforge keys: ${error.message}\n`);
    return 1;
  }
}

async function perform(options: KeysOptions): Promise<string> {
  const { action, key = '', overlap, usd, reason, dryRun, json, dataDir } = options;
  const path = `/v1/keys/${key.split('/').map(encodeURIComponent).join('/')}`;
  switch (action) {
    case 'list': {
      const { keys } = (await askAdmin(options, { method: 'GET', path: '/v1/keys' })) as { readonly keys: readonly KeyListing[] };
      return json ? `${JSON.stringify({ keys })}\n` : table(keys);
    }
    case 'revoke': {
      const reply = await askAdmin(options, { method: 'POST', path: `${path}/revoke` });
      return json ? `${JSON.stringify(reply)}\n` : `${key} is revoked; \`keyforge keys rotate ${key}\` brings it back with a new token\n`;
    }
    case 'rotate': {
      const query = overlap === undefined ? '' : `?overlap=${encodeURIComponent(overlap)}`;
      const reply = (await askAdmin(options, { method: 'POST', path: `${path}/rotate${query}` })) as RotatedKey;
      if (json) return `${JSON.stringify(reply)}\n`;
      const previous = reply.previousValidUntil === undefined ? 'is dead' : `works until ${reply.previousValidUntil}`;
      return `${key} has the new token ${reply.hint}, in ${join(dataDir, 'tokens', key)}; the one before it ${previous}\n`;
    }
    case 'credit': {
      const reply = (await askAdmin(options, { method: 'POST', path: `${path}/credit`, body: { usd, reason, dryRun } })) as CreditReply;
      return json ? `${JSON.stringify(reply)}\n` : creditText(reply, dryRun ? 'listed' : 'credited');
    }
  }
}

function table(keys: readonly KeyListing[]): string {
  if (keys.length === 0) return 'no keys\n';
  const head = ['KEY', 'STATE', 'HINT', 'SPENT', 'REMAINING', 'LIMITS', 'EXPIRES'];
  const rows = keys.map((key) => [
    `${key.namespace}/${key.name}`,
    key.state,
    key.hint ?? '-',
    `$${key.spentUsd}`,
    key.remainingUsd === undefined ? 'uncapped' : `$${key.remainingUsd}`,
    key.limits.map((limit) => limitText(limit, `${key.namespace}/${key.name}`)).join(', ') || '-',
    key.expiresAt ?? '-',
  ]);
  return tableText([head, ...rows]);
}

function limitText({ key, window, capUsd, spentUsd, requestsCap, requestsUsed }: LimitListing, of: string): string {
  const owner = key === of ? '' : `${key} `;
  const money = capUsd === undefined ? [] : [`$${spentUsd}/$${capUsd}`];
  const requests = requestsCap === undefined ? [] : [`${requestsUsed}/${requestsCap} requests`];
  return `${owner}${window} ${[...money, ...requests].join(' ')}`;
}

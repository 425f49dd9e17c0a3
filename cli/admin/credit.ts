import type { CreditReply, ListedCharge } from '../../operator/api/credit.ts';
import { tableText } from './table.ts';

const kinds: Readonly<Record<ListedCharge['kind'], string>> = {
  estimated: 'call, estimated',
  recovered: 'call, open at a crash',
  burned: 'grant, burned',
};

const pendings: Readonly<Record<Required<ListedCharge>['pending'], string>> = {
  epoch_open: 'not yet: its proxy still writes this record',
  entries_missing: 'not yet: its proxy has entries that it has not shipped',
  proxy_silent: 'not yet: its proxy has been gone for less than two hours',
};

/** The charges of a key that nobody measured, by window, and what was given back or can be. */
export function creditText({ key, calls, creditedUsd, leftUsd }: CreditReply, what: 'listed' | 'credited'): string {
  const windows = Map.groupBy(calls, windowText);
  const listed = [...windows].map(([window, charges]) => `${window}\n${tableText([head, ...charges.map(rowOf)])}\n`);
  if (what === 'credited') return `${listed.join('')}$${creditedUsd} given back to ${key}; $${leftUsd} more can be given back now\n`;
  return `${listed.join('')}$${leftUsd} can be given back to ${key} now\n`;
}

const head = ['TIME', 'CHARGE', 'ID', 'CHARGED', 'GIVEN BACK'];

function rowOf({ time, kind, requestId, grants, chargedUsd, creditedUsd, pending }: ListedCharge): readonly string[] {
  const state = pending === undefined ? '' : `  ${pendings[pending]}`;
  return [time, kinds[kind], requestId ?? grants.join(' '), `$${chargedUsd}`, `$${creditedUsd}${state}`];
}

function windowText({ windows }: ListedCharge): string {
  return windows.map(({ window, start }) => (start === undefined ? window : `${window} from ${start}`)).join(', ');
}

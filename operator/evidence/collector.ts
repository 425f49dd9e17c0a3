import type { Logger } from 'pino';
import type { KeyName, StreamId } from '../../core/names.ts';
import { decodeEntries } from '../../core/protocol/entry-wire.ts';
import type { ShipReply, ShipRequest } from '../../core/protocol/evidence.ts';
import type { LedgerNote } from '../ledger/settle.ts';
import type { Batch } from '../store/batch.ts';
import { type EntryNote, ingest } from './ingest.ts';
import type { OwnDeps } from './own-stream.ts';

/**
 * What people should investigate. `entry_refused`: a record that breaks its chain or names another's money. `overdraft`: a bill
 * beyond a call's bound, or an entry after its grant was closed. `burned`: money that counts as spent for lack of a record.
 */
export type Alarm = 'entry_refused' | 'overdraft' | 'burned';

/** What the collector needs. */
interface CollectorDeps {
  readonly batch: Batch;
  readonly own: OwnDeps;
  readonly onAlarm: (alarm: Alarm) => void;
  /** Called when money may have been released. */
  readonly onRelease: () => void;
  /** Called with the keys for which the ledger has notes: a cap on their path may be overdrawn. */
  readonly onNotes: (keys: ReadonlySet<KeyName>) => void;
  /** Called after a bill taught something about a pool's models. */
  readonly onLearned: () => void;
  readonly logger: Logger;
}

/** Stores what proxies ship, and then logs the notes of the ledger. */
export class Collector {
  readonly #deps: CollectorDeps;

  constructor(deps: CollectorDeps) {
    this.#deps = deps;
  }

  /** Stores and settles entries after every stream among them has passed `check`, which throws. */
  async ship(request: ShipRequest, check: (stream: StreamId) => void): Promise<ShipReply> {
    const { batch, own, onAlarm, onRelease, onNotes, onLearned } = this.#deps;
    const entries = decodeEntries(request.entries);
    if (entries === null) throw new RangeError('the shipped bytes are not whole entries');
    for (const { stream } of entries) check(stream);
    const { reply, released, taught, notes } = await batch.run((tx) => ingest(tx, entries, own));
    for (const note of notes) this.#report(note);
    for (const _ of reply.rejected) onAlarm('entry_refused');
    if (released) onRelease();
    if (notes.length > 0) onNotes(new Set(notes.map(({ key }) => key)));
    if (taught) onLearned();
    return reply;
  }

  #report({ place, note }: EntryNote): void {
    this.#deps.logger.error({ ...note, ...place }, `ledger: ${note.message}`);
    const alarm = alarmOf(note);
    if (alarm !== null) this.#deps.onAlarm(alarm);
  }
}

/** The alarm of a note; null for a note that refuses the entry, because its rejection raises the alarm. */
function alarmOf({ kind }: LedgerNote): Alarm | null {
  if (kind === 'burned') return 'burned';
  return kind === 'overdraft' || kind === 'spent_after_close' ? 'overdraft' : null;
}

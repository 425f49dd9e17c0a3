import type { IncomingMessage } from 'node:http';
import type { Transform } from 'node:stream';
import type { Refusal } from '../../core/errors.ts';
import { type BodyHold, smallBytes } from '../intake/byte-budget.ts';
import { decodersFor } from '../intake/encoding.ts';
import { Receipt } from '../intake/receipt.ts';
import { overloaded, tooLarge, unsupported } from '../intake/refusals.ts';

interface Intake {
  /** Maximum of the body, as sent and as decoded. */
  readonly limitBytes: number;
  /** Where the body's bytes are held until its call has ended; absent: the limit is so low that nobody counts. */
  readonly hold?: BodyHold;
  /** How often the pace of a large body is judged. Default: 10 s. */
  readonly paceMs?: number;
}

const plain: readonly Transform[] = [];

/** Reads a request's whole body, decoded, once there is room for it. Null: the client left, so nobody waits for an answer. */
export function receive(request: IncomingMessage, intake: Intake): Promise<Buffer | Refusal | null> {
  const { hold } = intake;
  const encoding = request.headers['content-encoding'];
  const decoders = encoding === undefined ? plain : decodersFor(encoding);
  if (decoders === null) return Promise.resolve(unsupported(encoding ?? ''));
  const limitBytes = Math.min(intake.limitBytes, hold?.budget.totalBytes ?? intake.limitBytes);
  const length = request.headers['content-length'];
  if (Number(length ?? 0) > limitBytes) return Promise.resolve(tooLarge(limitBytes));
  const announced = length === undefined || decoders.length > 0 ? null : Number(length);
  const receipt = new Receipt(request, { limitBytes, announced, hold, paceMs: intake.paceMs, decoders });
  if (hold === undefined) return receipt.read();
  const hasRoom = hold.budget.take(hold, announced ?? smallBytes - 1);
  if (hasRoom === true) return receipt.read();
  return hasRoom === false ? Promise.resolve(overloaded()) : readLater(request, receipt, { hold, hasRoom });
}

async function readLater(
  request: IncomingMessage,
  receipt: Receipt,
  { hold, hasRoom }: { readonly hold: BodyHold; readonly hasRoom: Promise<boolean> },
): Promise<Buffer | Refusal | null> {
  const leave = (): void => hold.budget.release(hold);
  request.socket.on('close', leave);
  const isThere = await hasRoom;
  request.socket.off('close', leave);
  if (request.socket.destroyed) return null;
  return isThere ? receipt.read() : overloaded();
}

import type { IncomingMessage } from 'node:http';
import { type Refusal, refuse } from '../../core/errors.ts';
import { type BodyHold, smallBytes } from '../intake/byte-budget.ts';
import { Receipt } from '../intake/receipt.ts';

interface Intake {
  /** Maximum of the body. */
  readonly limitBytes: number;
  /** Where the body's bytes are held until its call has ended; absent: the limit is so low that nobody counts. */
  readonly hold?: BodyHold;
  /** How often the pace of a large body is judged. Default: 10 s. */
  readonly paceMs?: number;
}

/** Reads a request's whole body, once there is room for it. Null: the client left, so nobody waits for an answer. */
export function receive(request: IncomingMessage, intake: Intake): Promise<Buffer | Refusal | null> {
  const { hold } = intake;
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    return Promise.resolve(
      refuse('invalid_request', `The body is sent with content-encoding ${JSON.stringify(encoding)}: send it uncompressed.`),
    );
  }
  const limitBytes = Math.min(intake.limitBytes, hold?.budget.totalBytes ?? intake.limitBytes);
  const length = request.headers['content-length'];
  const announced = length === undefined ? null : Number(length);
  if (announced !== null && announced > limitBytes) return Promise.resolve(tooLarge(limitBytes));
  const receipt = new Receipt(request, { ...intake, limitBytes, announced, tooLarge: () => tooLarge(limitBytes), overloaded });
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

function tooLarge(limitBytes: number): Refusal {
  return refuse(
    'too_large',
    `The body is larger than ${limitBytes} bytes: send less, or upload large files to the provider by other means.`,
  );
}

function overloaded(): Refusal {
  const message = 'KeyForge has no room for this body now, because other bodies take the memory: send it again shortly.';
  return refuse('overloaded', message, { retryAfterSeconds: 2 });
}

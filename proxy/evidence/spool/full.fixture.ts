import { createInterface } from 'node:readline';
import { newChain, open, reservation, stream, write } from './spool.fixture.ts';
import { SpoolUnavailable } from './spool.ts';

/** Runs under a file-size limit: writes until the spool is full, prints its position, and continues after a line on stdin. */
const spool = open(process.argv[2] ?? '');
const chain = newChain();
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

function writeUntilFull(): void {
  try {
    for (;;) {
      write(spool, chain);
      spool.writeOpen({ stream, epoch: 1, requestId: `r-${chain.head()}`, reservation: reservation(5) });
    }
  } catch (error) {
    if (!(error instanceof SpoolUnavailable)) throw error;
    process.stdout.write(`${chain.head()}\n`);
  }
}

writeUntilFull();
writeUntilFull();
await lines.next();
write(spool, chain);
write(spool, chain);
process.stdout.write(`${chain.head()}\n`);
await spool.synced();
process.kill(process.pid, 'SIGKILL');

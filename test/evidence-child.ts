import { boundNano, costNano, openWorld, paidCall, reserve, type Stage } from './evidence-world.ts';

/** One proxy that serves a call and is killed at the stage that it was told. */
const [dataDir = '', killAt = ''] = process.argv.slice(2);
const { recorder, shipper, fund } = openWorld(dataDir);

function reached(stage: Stage): void {
  if (stage === killAt) process.kill(process.pid, 'SIGKILL');
}

await recorder.ready();
reached('opened');
const grant = await fund(10 * boundNano);
reached('granted');
const held = reserve(grant);
recorder.openCall('r-1', held);
reached('call_opened');
recorder.noteOutcome('r-1', 0);
reached('free_error_seen');
recorder.openCall('r-1', held);
reached('call_reopened');
recorder.noteOutcome('r-1', costNano);
reached('answer_seen');
recorder.append(paidCall('r-1', grant));
reached('entry_written');
await shipper.flush(recorder.stream, recorder.epoch, recorder.head());
reached('shipped');
recorder.openCall('r-2', reserve(grant));
reached('second_call_opened');
recorder.append(paidCall('r-2', grant));
recorder.close();
reached('closed');
await shipper.flush(recorder.stream, recorder.epoch, recorder.head());
reached('close_shipped');

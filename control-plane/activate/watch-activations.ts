import type { Activation, Signed } from "../../core/model.js";
import { onAbort } from "../../runtime/abort.js";
import type { RecordLog } from "../store/ledger.js";

/**
 * Yields the activations from `fromEpoch` on (0: from the present head), then each new one, in order and once each,
 * until `signal` aborts. It keeps no queue: a slow reader reads the log later.
 */
export async function* watchActivations(
  log: RecordLog<Activation>,
  fromEpoch: number,
  signal: AbortSignal,
): AsyncGenerator<Signed<Activation>, void, undefined> {
  let nextEpoch = fromEpoch === 0 ? (log.head()?.body.epoch ?? 1) : fromEpoch;
  let wake = () => {};
  const onNews = () => wake();
  const stops = [log.onRecord(onNews), onAbort(signal, onNews)];
  try {
    while (!signal.aborted) {
      const record = findFrom(log, nextEpoch);
      if (record !== undefined) {
        nextEpoch = record.body.epoch + 1;
        yield record;
        continue;
      }
      await new Promise<void>((resolve) => {
        wake = resolve;
        if (signal.aborted) resolve();
      });
    }
  } finally {
    for (const stop of stops) stop();
  }
}

/** Returns the first activation from `epoch` on. An epoch may be missing for ever, if two records claimed it. */
function findFrom(log: RecordLog<Activation>, epoch: number): Signed<Activation> | undefined {
  if ((log.head()?.body.epoch ?? 0) < epoch) return undefined;
  return log.find(epoch) ?? log.list().find(({ body }) => body.epoch >= epoch);
}

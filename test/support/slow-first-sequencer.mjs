/**
 * The order in which jest gives files to its workers: those that start processes first, so that no worker is left alone
 * with a long one at the end. Within each half, as jest has it: the slowest of last time, else the longest file, first.
 */
import TestSequencer from "@jest/test-sequencer";

const slow = /[\\/]e2e[\\/]|jetstream|ledger-cluster|audit-log/;

// biome-ignore lint/style/noDefaultExport: jest looks for it
export default class SlowFirstSequencer extends TestSequencer {
  sort(tests) {
    const sorted = super.sort(tests);
    return [...sorted.filter(({ path }) => slow.test(path)), ...sorted.filter(({ path }) => !slow.test(path))];
  }
}

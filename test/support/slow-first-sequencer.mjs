/**
 * The order in which jest runs test files: those that start processes first, so that no worker is left alone with a
 * long one at the end. Within each half jest's own order: the slowest of the last run first, else the longest file.
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

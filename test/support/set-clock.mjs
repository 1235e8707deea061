/**
 * Loaded before a process's own code (`node --import`): its wall clock is off by the milliseconds that the file
 * ASHLAR_TEST_CLOCK_FILE holds, and follows that file. The monotonic clock and timers are as they were.
 */
import { readFileSync } from "node:fs";

const path = process.env.ASHLAR_TEST_CLOCK_FILE ?? "";
const now = Date.now.bind(Date);
let offMs = 0;

function read() {
  try {
    offMs = Number(readFileSync(path, "utf8"));
  } catch {
    // as it was
  }
}

read();
setInterval(read, 20).unref();
Date.now = () => now() + offMs;

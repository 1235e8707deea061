import { getEventListeners } from "node:events";
import { expect, test } from "@jest/globals";
import { onAbort, whenAborted } from "../../runtime/abort.js";

test("a listener is called once when the signal aborts", () => {
  const controller = new AbortController();
  let calls = 0;
  onAbort(controller.signal, () => calls++);
  expect(calls).toBe(0);
  controller.abort();
  controller.abort();
  expect(calls).toBe(1);
});

test("a signal that has aborted already calls the listener at once", async () => {
  let calls = 0;
  onAbort(AbortSignal.abort(), () => calls++);
  expect(calls).toBe(1);
  await whenAborted(AbortSignal.abort());
});

test("a listener that was taken back is not called, and the signal no longer holds it", () => {
  const { signal } = new AbortController();
  const off = onAbort(signal, () => {
    throw new Error("called");
  });
  expect(getEventListeners(signal, "abort")).toHaveLength(1);
  off();
  expect(getEventListeners(signal, "abort")).toHaveLength(0);
});

test("whenAborted resolves when the signal aborts", async () => {
  const controller = new AbortController();
  let over = false;
  const waiting = whenAborted(controller.signal).then(() => {
    over = true;
  });
  await Promise.resolve();
  expect(over).toBe(false);
  controller.abort();
  await waiting;
});

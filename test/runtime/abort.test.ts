import { getEventListeners } from "node:events";
import { expect, test } from "@jest/globals";
import { onAbort, untilAborted, whenAborted } from "../../runtime/abort.js";
import { countHeld } from "../support/held.js";

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

test("untilAborted settles as the work does, or with undefined when the signal aborts", async () => {
  const controller = new AbortController();
  const { signal } = controller;
  expect(await untilAborted(Promise.resolve(7), signal)).toBe(7);
  await expect(untilAborted(Promise.reject(new Error("broken")), signal)).rejects.toThrow("broken");
  expect(getEventListeners(signal, "abort")).toHaveLength(0);
  let fail: (error: Error) => void = () => {};
  const work = new Promise<number>((_, reject) => {
    fail = reject;
  });
  const waiting = untilAborted(work, signal);
  controller.abort();
  expect(await waiting).toBeUndefined();
  fail(new Error("nobody waits for this any more, and nothing is unhandled"));
});

test("untilAborted holds nothing of what came, however long the signal stays open", async () => {
  const { signal } = new AbortController();
  const references: WeakRef<object>[] = [];
  for (let count = 0; count < 100; count += 1) {
    const came = await untilAborted(Promise.resolve({ count }), signal);
    if (came !== undefined) references.push(new WeakRef(came));
  }
  expect(await countHeld(references)).toBeLessThan(5);
  expect(signal.aborted).toBe(false);
});

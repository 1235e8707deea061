import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import type { UpstreamSession } from "../../../data-plane/proxy/forward/upstream-session.js";
import { StreamQueue, StreamWaiter } from "../../../data-plane/proxy/stream-queue.js";
import { WaitCounters } from "../../../data-plane/proxy/wait-counters.js";

const session = {} as UpstreamSession;

/** A queue whose waiters are named by caller and number; `served` is in the order they got a stream. */
function rig(max: number) {
  const counters = new WaitCounters();
  const queue = new StreamQueue(max, counters);
  const served: string[] = [];
  const refused: string[] = [];
  const add = (caller: string, name = caller): StreamWaiter => {
    const open = (): boolean => {
      served.push(name);
      return true;
    };
    const waiter = new StreamWaiter(caller, open, (error) => {
      if (error !== undefined) refused.push(name);
    });
    queue.add(waiter)?.end(new Error("full"));
    return waiter;
  };
  const serve = (): void => {
    for (let waiter = queue.next(); waiter !== undefined; waiter = queue.next()) {
      waiter.open(session);
      waiter.end(undefined);
    }
  };
  return { queue, counters, served, refused, add, serve };
}

describe("calls that wait for a stream", () => {
  test("get one by caller in turn, the calls of a caller in the order they came", () => {
    const { add, serve, served } = rig(10);
    for (const name of ["a1", "a2", "a3", "b1", "c1", "b2"]) add(name.slice(0, 1), name);
    serve();
    expect(served).toEqual(["a1", "b1", "c1", "a2", "b2", "a3"]);
  });

  test("leave when they are over, and one that found no room is the next again", () => {
    const { add, serve, served, queue, counters } = rig(10);
    add("a", "a1");
    const left = add("a", "a2");
    add("a", "a3");
    left.leave();
    left.leave();
    expect([queue.size, counters.waiting]).toEqual([2, 2]);
    const first = queue.next();
    if (first !== undefined) queue.putBack(first);
    serve();
    expect([served, counters.waiting, counters.waited]).toEqual([["a1", "a3"], 0, 3]);
  });

  test("I8: are bounded: the caller with the most gives way, and one with few is not kept out", () => {
    const { add, serve, served, refused, counters } = rig(4);
    for (const name of ["a1", "a2", "a3", "a4", "a5", "b1", "b2", "b3", "c1"]) add(name.slice(0, 1), name);
    expect(refused).toEqual(["a5", "a4", "a3", "b3", "a2"].slice(0, refused.length));
    expect(refused.length).toBe(counters.refused);
    serve();
    expect(served).toContain("c1");
    expect(served).toContain("b1");
    expect(served.length + refused.length).toBe(9);
  });

  test("whatever comes and goes, none is lost or served twice, and counts hold", () => {
    const step = fc.record({ what: fc.constantFrom("add", "add", "next", "leave"), who: fc.nat({ max: 3 }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { queue, counters, add, served, refused } = rig(8);
        const waiters: StreamWaiter[] = [];
        let left = 0;
        for (const { what, who } of steps) {
          if (what === "add") waiters.push(add(`caller${who}`, String(waiters.length)));
          else if (what === "next") {
            const waiter = queue.next();
            waiter?.open(session);
            waiter?.end(undefined);
          } else {
            const waiter = waiters.find((one) => !one.over);
            if (waiter !== undefined) left += 1;
            waiter?.leave();
          }
          expect(queue.size).toBe(waiters.filter((one) => !one.over).length);
          expect(queue.size).toBe(counters.waiting);
          expect(queue.size).toBeLessThanOrEqual(8);
        }
        expect(new Set([...served, ...refused]).size).toBe(served.length + refused.length);
        expect(served.length + refused.length + left + queue.size).toBe(waiters.length);
      }),
    );
  });
});

import { describe, expect, test } from "@jest/globals";
import { digestOf } from "../../../core/digest.js";
import {
  boundsMs,
  type Duty,
  startWorkers,
  step,
  trustOf,
  type WorkersEffect,
  type WorkersEvent,
} from "../../../data-plane/workers/workers-state.js";

const digest = digestOf(Buffer.from("revision"));

/** Two workers and what the machine wanted done. */
class Driven {
  state = startWorkers(2);
  effects: WorkersEffect[] = [];
  #task = 0;

  take(...events: readonly WorkersEvent[]): readonly WorkersEffect[] {
    this.effects = events.flatMap((event) => {
      const { state, effects } = step(this.state, event);
      this.state = state;
      return effects;
    });
    return this.effects;
  }

  tell(worker: number, duty: Duty, nowMs = 0): number {
    this.#task += 1;
    this.take({ kind: "told", worker, task: this.#task, duty, nowMs });
    return this.#task;
  }

  done(worker: number, task: number, problem?: string): readonly WorkersEffect[] {
    return this.take({ kind: "done", worker, task, problem });
  }

  /** A worker that carries calls and judges by `epoch`. */
  serve(worker: number, epoch: number, trust = 1): void {
    this.take({ kind: "spawned", worker, nowMs: 0 });
    const tasks = [this.tell(worker, { kind: "trust", sequence: trust }), this.tell(worker, { kind: "switch", epoch })];
    this.take({ kind: "briefed", worker });
    for (const task of tasks) this.done(worker, task);
  }
}

const serving = (epoch: number): Driven => {
  const driven = new Driven();
  driven.serve(0, epoch);
  driven.serve(1, epoch);
  return driven;
};

describe("a worker", () => {
  test("carries calls when it has done all that it was told first, and not before", () => {
    const driven = new Driven();
    driven.take({ kind: "spawned", worker: 0, nowMs: 0 });
    const trust = driven.tell(0, { kind: "trust", sequence: 1 });
    const prepare = driven.tell(0, { kind: "prepare", digest });
    driven.take({ kind: "briefed", worker: 0 });
    expect(driven.done(0, trust)).toEqual([]);
    expect(driven.state.workers[0]?.phase).toBe("starting");
    expect(driven.done(0, prepare)).toContainEqual({ kind: "serving", worker: 0 });
    expect(driven.state.workers[0]?.phase).toBe("serving");
  });

  test("that was told nothing yet does not count as whole", () => {
    const driven = new Driven();
    driven.take({ kind: "spawned", worker: 0, nowMs: 0 });
    const task = driven.tell(0, { kind: "ping" });
    driven.done(0, task);
    expect(driven.state.workers[0]?.phase).toBe("starting");
  });

  for (const kind of ["switch", "trust", "ping", "prepare"] as const) {
    test(`that does not acknowledge a ${kind} within ${boundsMs[kind]} ms is killed`, () => {
      const driven = serving(1);
      const duties = {
        switch: { kind, epoch: 2 },
        trust: { kind, sequence: 2 },
        ping: { kind },
        prepare: { kind, digest },
      };
      driven.tell(1, duties[kind] as Duty, 1000);
      expect(driven.take({ kind: "tick", nowMs: 1000 + boundsMs[kind], lostMs: 0 })).toEqual([]);
      expect(driven.take({ kind: "tick", nowMs: 1001 + boundsMs[kind], lostMs: 0 })).toEqual([
        { kind: "kill", worker: 1, why: expect.stringContaining(kind) },
      ]);
    });
  }

  test("is not killed for answers that the first process had no time to read", () => {
    const driven = serving(1);
    const task = driven.tell(1, { kind: "ping" }, 1000);
    expect(driven.take({ kind: "tick", nowMs: 61_000, lostMs: 59_500 })).toEqual([]);
    driven.done(1, task);
    expect(driven.take({ kind: "tick", nowMs: 90_000, lostMs: 0 })).toEqual([]);
  });

  test("that never says a word is killed", () => {
    const driven = new Driven();
    driven.take({ kind: "spawned", worker: 0, nowMs: 0 });
    expect(driven.take({ kind: "tick", nowMs: 61_000, lostMs: 0 })).toHaveLength(1);
  });

  test("that cannot make a switch is killed: what it judges by is not what all do", () => {
    const driven = serving(1);
    const task = driven.tell(0, { kind: "switch", epoch: 2 });
    expect(driven.done(0, task, "not held")).toEqual([{ kind: "kill", worker: 0, why: "not held" }]);
  });

  test("that is gone acknowledges nothing any more", () => {
    const driven = serving(1);
    const task = driven.tell(0, { kind: "switch", epoch: 2 });
    driven.take({ kind: "exited", worker: 0 });
    expect(driven.done(0, task)).toEqual([]);
    expect(driven.state.workers[0]?.epoch).toBe(0);
  });
});

describe("a switch (I7)", () => {
  test("counts when the last worker acknowledged it", () => {
    const driven = serving(1);
    const [first, second] = [
      driven.tell(0, { kind: "switch", epoch: 2 }),
      driven.tell(1, { kind: "switch", epoch: 2 }),
    ];
    expect(driven.done(0, first)).toEqual([]);
    expect(driven.state.epoch).toBe(1);
    expect(driven.done(1, second)).toEqual([{ kind: "evaluating", epoch: 2 }]);
    expect(driven.state.epoch).toBe(2);
  });

  test("is not held up by a worker that died: it judges nothing", () => {
    const driven = serving(1);
    driven.done(0, driven.tell(0, { kind: "switch", epoch: 2 }));
    driven.tell(1, { kind: "switch", epoch: 2 });
    expect(driven.take({ kind: "exited", worker: 1 })).toEqual([{ kind: "evaluating", epoch: 2 }]);
  });

  test("is not undone by a worker that starts: it carries no calls before it has caught up", () => {
    const driven = serving(3);
    driven.take({ kind: "exited", worker: 1 }, { kind: "spawned", worker: 1, nowMs: 0 });
    const task = driven.tell(1, { kind: "switch", epoch: 3 });
    driven.take({ kind: "briefed", worker: 1 });
    expect(driven.state.epoch).toBe(3);
    driven.done(1, task);
    expect(driven.state.epoch).toBe(3);
  });

  test("nobody evaluates anything while no worker carries calls", () => {
    const driven = serving(1);
    driven.take({ kind: "exited", worker: 0 });
    expect(driven.take({ kind: "exited", worker: 1 })).toEqual([{ kind: "evaluating", epoch: 0 }]);
  });
});

test("trust is that of the worker that is furthest behind", () => {
  const driven = new Driven();
  expect(trustOf(driven.state)).toBeUndefined();
  driven.serve(0, 1, 5);
  driven.serve(1, 1, 4);
  expect(trustOf(driven.state)).toBe(4);
});

describe("a revision", () => {
  test("is prepared when every worker compiled it", () => {
    const driven = serving(1);
    const tasks = [0, 1].map((worker) => driven.tell(worker, { kind: "prepare", digest }));
    expect(driven.take({ kind: "prepare", digest })).toEqual([]);
    expect(driven.done(0, tasks[0] ?? 0)).toEqual([]);
    expect(driven.done(1, tasks[1] ?? 0)).toEqual([{ kind: "prepared", digest, problem: undefined }]);
  });

  test("is prepared at once when there is no worker yet", () => {
    expect(new Driven().take({ kind: "prepare", digest })).toEqual([{ kind: "prepared", digest, problem: undefined }]);
  });

  test("is not held up by a worker that died over it", () => {
    const driven = serving(1);
    const [task] = [0, 1].map((worker) => driven.tell(worker, { kind: "prepare", digest }));
    driven.take({ kind: "prepare", digest });
    driven.done(0, task ?? 0);
    expect(driven.take({ kind: "exited", worker: 1 })).toEqual([{ kind: "prepared", digest, problem: undefined }]);
  });

  test("is not prepared if one cannot compile it, and that one serves on", () => {
    const driven = serving(1);
    const tasks = [0, 1].map((worker) => driven.tell(worker, { kind: "prepare", digest }));
    driven.take({ kind: "prepare", digest });
    driven.done(0, tasks[0] ?? 0, "too large");
    expect(driven.done(1, tasks[1] ?? 0)).toEqual([{ kind: "prepared", digest, problem: "too large" }]);
    expect(driven.state.workers.map(({ phase }) => phase)).toEqual(["serving", "serving"]);
  });
});

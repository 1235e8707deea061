/** Where a read waits for a write: what the application says, what the journal says, and how long. */
import { beforeEach, describe, expect, test } from "@jest/globals";
import type { ReadPlan } from "../../../core/journal/read-plan.js";
import { AppRegistry, type RegistryEntry } from "../../../data-plane/agent/app-registry.js";
import { ReadWaits, type ReadWaitsDeps } from "../../../data-plane/journal/read-waits.js";
import type { Answer } from "../../../data-plane/proxy/answer.js";
import type { Call } from "../../../data-plane/proxy/forward/call.js";
import { ManualClock } from "../../support/manual-clock.js";

const plan: ReadPlan = {
  name: "books/reads",
  replica: { version: "v2", labels: [] },
  waitMs: 1000,
  isRead: () => true,
};

let clock: ManualClock;
let registry: AppRegistry;
let entry: RegistryEntry;
/** Where the outcomes of writes are; a write that is missing has none. */
let outcomes: Map<number, number>;
let looks: number[];
let letGo = 0;
/** The last sequence of the journal. */
let end: number;

function open(more: Partial<ReadWaitsDeps> = {}): ReadWaits {
  const store = {
    entryAt: async (sequence: number) => {
      looks.push(sequence);
      if (sequence <= letGo) return "doubtful" as const;
      if (sequence === 11) return "none" as const;
      if (sequence > end) return undefined;
      return { sequence, key: "k", entry: {}, digest: "" };
    },
    firstSettled: async (sequence: number) => {
      const at = outcomes.get(sequence);
      return at === undefined ? undefined : { sequence: at };
    },
    letGo: async () => ({ through: letGo, head: 0 }),
  } as unknown as ReadWaitsDeps["store"];
  return new ReadWaits({ app: registry, store, clock, ...more });
}

/** What became of a read: "forwarded", or why it goes elsewhere. */
function read(
  waits: ReadWaits,
  after: string,
  timeoutMs = -1,
  readFor = "",
): { readonly said: string[]; leave(): void } {
  const facts = { caller: "spiffe://test/service/shop", readFor, plan: { revision: 7 } };
  const call = { ...facts, afterSequence: after, dueAtMs: timeoutMs, startedMs: 0 } as unknown as Call;
  const gate = waits.gateFor(call, plan);
  const said: string[] = [];
  const tell = (answer: Answer | undefined): void => {
    said.push(answer === undefined ? "forwarded" : `${answer.code} ${answer.isUnprocessed === true} ${answer.message}`);
  };
  if (gate === undefined) tell(undefined);
  else void gate.opened.then(tell);
  return { said, leave: () => gate?.leave() };
}

beforeEach(() => {
  clock = new ManualClock();
  registry = new AppRegistry();
  entry = registry.register({ instance: "a", target: { path: "/a" } }, () => {});
  outcomes = new Map();
  looks = [];
  letGo = 0;
  end = 1_000_000;
});

const late = "14 true the application of this replica has not applied write 10 yet";

describe("a read that names a write", () => {
  test("goes elsewhere at once while the application says nothing", async () => {
    const { said } = read(open(), "10");
    await clock.advance(0);
    expect(said).toEqual(["14 true the application of this replica does not report what it has applied"]);
  });

  test.each(["soon", "-1", "01", "1.5", "1234567890123456", " 1"])(
    "is refused where %j is no sequence",
    async (text) => {
      const { said } = read(open(), text);
      await clock.advance(0);
      expect(said).toEqual(["3 false ashlar-after-sequence is not a sequence"]);
    },
  );

  test("is forwarded at once when the application named the write, and nobody looks into the journal", () => {
    entry.applied({ position: 0, sequences: [9, 10] });
    expect(read(open(), "10").said).toEqual(["forwarded"]);
    expect(looks).toEqual([]);
  });

  test("a sequence below the position is not applied while its outcome is behind that", async () => {
    // 11 was settled at 12 and applied; 10 was settled later, at 13
    outcomes.set(10, 13);
    entry.applied({ position: 12, sequences: [11] });
    const { said } = read(open(), "10");
    await clock.advance(500);
    expect([said, looks]).toEqual([[], [10]]);
    entry.applied({ position: 13, sequences: [] });
    await clock.advance(0);
    expect(said).toEqual(["forwarded"]);
  });

  test("waits until the application says so, whatever others it names before", async () => {
    entry.applied({ position: 4, sequences: [] });
    const { said } = read(open(), "10");
    await clock.advance(300);
    entry.applied({ position: 9, sequences: [8] });
    await clock.advance(300);
    expect([said, looks]).toEqual([[], [10]]); // behind the position it cannot be: one look, whether it is a write
    entry.applied({ position: 10, sequences: [10] });
    await clock.advance(0);
    expect(said).toEqual(["forwarded"]);
  });

  test("goes to the primary after the wait of the policy, and after half of its own time if that is shorter", async () => {
    entry.applied({ position: 1, sequences: [] });
    const waits = open();
    const whole = read(waits, "10");
    const short = read(waits, "10", 400);
    await clock.advance(199);
    expect(short.said).toEqual([]);
    await clock.advance(1);
    expect([short.said, whole.said]).toEqual([[late], []]);
    await clock.advance(800);
    expect(whole.said).toEqual([late]);
    expect(clock.sleeping).toBe(0);
  });

  test("an outcome that comes into the journal later is found, by one look for all who wait", async () => {
    entry.applied({ position: 20, sequences: [] });
    const waits = open();
    const both = [read(waits, "10"), read(waits, "10")];
    await clock.advance(60);
    outcomes.set(10, 15);
    const before = looks.length;
    await clock.advance(100);
    expect(both.map(({ said }) => said)).toEqual([["forwarded"], ["forwarded"]]);
    expect(looks.length - before).toBe(1);
    expect(read(waits, "10").said).toEqual(["forwarded"]); // and is known from then on
  });

  test("what was let go of the journal had its outcome there", async () => {
    letGo = 50;
    entry.applied({ position: 60, sequences: [] });
    const { said } = read(open(), "10");
    await clock.advance(0);
    expect(said).toEqual(["forwarded"]);
  });

  test("goes to the primary without a further look where no write has that sequence", async () => {
    entry.applied({ position: 20, sequences: [] });
    const { said } = read(open(), "11");
    await clock.advance(0);
    expect([said, looks]).toEqual([[late.replace("10", "11")], [11]]);
  });

  test("goes to the primary where the journal cannot be read", async () => {
    entry.applied({ position: 20, sequences: [] });
    const broken = { entryAt: () => Promise.reject(new Error("NATS is away")) } as unknown as ReadWaitsDeps["store"];
    const { said } = read(open({ store: broken }), "10");
    await clock.advance(1000);
    expect(said).toEqual([late]);
  });

  test("waits no longer for a journal that does not answer, and begins only so many looks into it", async () => {
    entry.applied({ position: 2000, sequences: [] });
    const silent = {
      entryAt: (sequence: number) => {
        looks.push(sequence);
        return new Promise(() => {});
      },
    } as unknown as ReadWaitsDeps["store"];
    const waits = open({ store: silent, waitingMax: 4 });
    const { said } = read(waits, "10");
    const left = read(waits, "10");
    left.leave();
    await clock.advance(0);
    const others = [read(waits, "20")];
    await clock.advance(1000);
    expect(said).toEqual([late]);
    for (const next of ["30", "40", "50"]) {
      others.push(read(waits, next));
      await clock.advance(1000);
    }
    expect(others.map(({ said: [why = ""] }) => why.slice(0, 7))).toEqual(Array(4).fill("14 true"));
    expect([looks, clock.sleeping]).toEqual([[10, 20, 30, 40], 0]);
  });

  test("goes elsewhere when the application goes, and one that comes after it has said nothing yet", async () => {
    entry.applied({ position: 1, sequences: [] });
    const waits = open();
    const waiting = read(waits, "10");
    entry.remove();
    await clock.advance(0);
    expect(waiting.said).toEqual([late]);
    registry.register({ instance: "b", target: { path: "/b" } }, () => {});
    expect(registry.applied).toBeUndefined();
  });

  test("of a sequence that nobody can have goes to the primary soon, without a further look", async () => {
    entry.applied({ position: 1, sequences: [] });
    end = 500;
    const waits = open();
    const [real, madeUp] = [read(waits, "500"), read(waits, "501")];
    await clock.advance(49);
    expect(madeUp.said).toEqual([]);
    await clock.advance(1);
    expect(madeUp.said).toEqual([late.replace("10", "501")]);
    await clock.advance(949);
    expect([real.said, looks]).toEqual([[], [500, 501]]);
    entry.applied({ position: 1, sequences: [500] });
    await clock.advance(0);
    expect(real.said).toEqual(["forwarded"]);
  });

  test("waits on where this server of NATS got the write only after the first look", async () => {
    entry.applied({ position: 600, sequences: [] }); // the application follows another server
    end = 400;
    const { said } = read(open(), "500");
    await clock.advance(10);
    end = 600;
    outcomes.set(500, 502);
    await clock.advance(60);
    expect([said, looks]).toEqual([["forwarded"], [500, 500]]);
  });

  test("of one client of a gateway takes no places of others", async () => {
    entry.applied({ position: 1, sequences: [] });
    const waits = open({ waitingMax: 9 });
    const flood = Array.from({ length: 20 }, () => read(waits, "10", -1, "192.0.2.1"));
    await clock.advance(0);
    expect(flood.filter(({ said }) => said.length === 0)).toHaveLength(3);
    const other = read(waits, "10", -1, "192.0.2.2");
    await clock.advance(0);
    expect(other.said).toEqual([]);
  });

  test("is told that too many wait, and one that ends gives its place", async () => {
    entry.applied({ position: 1, sequences: [] });
    const waits = open({ waitingMax: 2 });
    const one = read(waits, "10");
    const two = read(waits, "10");
    await clock.advance(0);
    expect(two.said).toEqual(["14 true too many reads wait at this replica"]);
    one.leave();
    await clock.advance(0);
    const three = read(waits, "10");
    await clock.advance(0);
    expect(three.said).toEqual([]);
    entry.applied({ position: 1, sequences: [10] });
    await clock.advance(0);
    expect(three.said).toEqual(["forwarded"]);
  });
});

test("peers are told once that an application reports, and again when it is gone", () => {
  const told: boolean[] = [];
  registry.onHealth(() => told.push(registry.applied !== undefined));
  entry.applied({ position: 0, sequences: [] });
  entry.applied({ position: 5, sequences: [] });
  entry.applied({ position: 3, sequences: [2] });
  expect([told, registry.applied?.report()]).toEqual([[true], { position: 5, sequences: [2] }]);
  entry.remove();
  expect(told).toEqual([true, false]);
});

/**
 * Makes the code that carries calls fast before the first call arrives, by carrying calls in memory (decision 0075).
 */
import { messageOf } from "../../core/errors.js";
import { onAbort } from "../../runtime/abort.js";
import { type CallShape, WarmCaller } from "./warm-caller.js";
import { deniedMethod, warmMethods, warmService } from "./warm-policy.js";
import { openWarmWorld, type WarmWorld } from "./warm-world.js";

/** What warming up may use at most. It ends when the first bound is reached. */
export interface WarmBounds {
  readonly calls: number;
  readonly wallMs: number;
  /** The CPU time of all threads in milliseconds, since V8 compiles in other threads. */
  readonly cpuMs: number;
}

/** The result of warming up. */
export interface Warmed {
  /** The number of calls that were carried. */
  readonly calls: number;
  readonly tookMs: number;
  /** Why warming up ended early. undefined: it did not, or a bound ended it. */
  readonly problem: string | undefined;
}

export const warmBounds: WarmBounds = { calls: 4000, wallMs: 1500, cpuMs: 1200 };

/** How many calls pass between two checks of the bounds. */
const looksEach = 64;
/** How many calls are open at once, for each of the client's connections. */
const lanes = [32, 8, 1, 1];
/** One call in this many is denied. */
const deniedEach = 50;
const common = [
  ["user-agent", "grpc-node-js/1.14.0"],
  ["grpc-accept-encoding", "identity,deflate,gzip"],
] as const;
const shapes: readonly CallShape[] = [
  { method: warmMethods[0], fields: common, bytes: 64 },
  { method: warmMethods[1], fields: [...common, ["x-request-id", "5b6a7c1e"]], bytes: 900 },
  { method: warmMethods[0], fields: [["user-agent", "grpc-go/1.70.0"]], bytes: 16 },
];

/** Carries calls until a bound is reached or `signal` aborts. Never fails: the result says why it ended early. */
export async function warmUp(signal: AbortSignal, bounds: WarmBounds = warmBounds): Promise<Warmed> {
  const startMs = performance.now();
  const tookMs = (): number => Math.round(performance.now() - startMs);
  try {
    return { ...(await carryUntil(signal, bounds)), tookMs: tookMs() };
  } catch (error) {
    return { calls: 0, tookMs: tookMs(), problem: messageOf(error) };
  }
}

async function carryUntil(signal: AbortSignal, bounds: WarmBounds): Promise<Pick<Warmed, "calls" | "problem">> {
  const startMs = performance.now();
  const before = process.cpuUsage();
  const isOver = (): boolean => {
    const { user, system } = process.cpuUsage(before);
    return performance.now() - startMs >= bounds.wallMs || (user + system) / 1000 >= bounds.cpuMs;
  };
  let [calls, problem, closing]: [number, string | undefined, boolean] = [0, undefined, false];
  let finish = (): void => {};
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const fail = (why: string): void => {
    problem ??= why;
    finish();
  };
  const budget = {
    left: bounds.calls,
    ended: (isExpected: boolean): void => {
      if (closing) return; // what is still open is cut
      calls += 1;
      if (!isExpected) fail("a call was not answered as policy says");
      if (calls >= bounds.calls || (calls % looksEach === 0 && isOver())) finish();
    },
  };
  const late = setTimeout(finish, bounds.wallMs); // calls that hang are not waited for
  const off = onAbort(signal, finish);
  const world = openWarmWorld((error) => fail(messageOf(error)));
  try {
    call(world, budget);
    await finished;
  } finally {
    closing = true;
    budget.left = 0;
    clearTimeout(late);
    off();
    world.close();
  }
  return { calls, problem };
}

function call(world: WarmWorld, budget: ConstructorParameters<typeof WarmCaller>[2]): void {
  const denied: CallShape = { ...(shapes[0] as CallShape), method: deniedMethod, isDenied: true };
  const mixed = Array.from({ length: deniedEach }, (_, place) =>
    place === deniedEach - 1 ? denied : (shapes[place % shapes.length] as CallShape),
  );
  for (const streams of lanes) {
    const caller = new WarmCaller(world.connect(), world.engine, budget, {
      shapes: mixed,
      authority: warmService,
      streams,
    });
    caller.fill();
  }
}

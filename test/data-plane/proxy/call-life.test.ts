/** What hangs on a call: observers, which hear its whole life, and gates, which hold it back before it is forwarded. */
import { once } from "node:events";
import {
  constants,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import { join } from "node:path";
import { Metadata, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import type { Verdict } from "../../../core/decision/decision-record.js";
import { PreparedField } from "../../../data-plane/http2/prepared-field.js";
import type { EvaluatedPolicy } from "../../../data-plane/ports.js";
import { type Answer, unavailableAnswer } from "../../../data-plane/proxy/answer.js";
import type { CallGate } from "../../../data-plane/proxy/call-side.js";
import type { AttemptOutcome } from "../../../data-plane/proxy/forward/attempt-outcome.js";
import type { Call } from "../../../data-plane/proxy/forward/call.js";
import type { CallFacts } from "../../../data-plane/proxy/forward/call-facts.js";
import { CallObserver } from "../../../data-plane/proxy/forward/call-observer.js";
import { FieldChanges } from "../../../data-plane/proxy/forward/field-changes.js";
import { MessageTally } from "../../support/message-tally.js";
import { buildPolicy, everyone } from "../../support/proxy-fakes.js";
import { eventually, ProxyPair, type TestSide } from "../../support/proxy-pair.js";

/** Notes all that it hears. */
class Heard extends CallObserver {
  readonly events: string[];
  readonly request = new MessageTally();
  readonly response = new MessageTally();
  readonly #all: boolean;

  constructor(events: string[], all: boolean) {
    super();
    this.events = events;
    this.#all = all;
  }

  override judged(call: CallFacts, verdict: Verdict, policy: EvaluatedPolicy, decision: string | undefined): void {
    const named = decision === undefined ? "unnamed" : "named";
    this.events.push(`judged ${verdict} by revision ${policy.revision}, epoch ${policy.epoch}, ${named}`);
    super.judged(call, verdict, policy, decision);
  }

  override attemptStarted(call: CallFacts, endpoint: string): void {
    const where = endpoint.replace(/127\.0\.0\.1:\d+|unix:.*$/, "ADDRESS");
    this.events.push(`attempt ${call.attempts} at ${where}`);
    super.attemptStarted(call, endpoint);
  }

  override attemptEnded(call: CallFacts, outcome: AttemptOutcome, endpoint: string): void {
    this.events.push(`attempt ${call.attempts} ${outcome}`);
    super.attemptEnded(call, outcome, endpoint);
  }

  override responded(...heard: Parameters<CallObserver["responded"]>): void {
    this.events.push("responded");
    super.responded(...heard);
  }

  override data(call: CallFacts, fromCaller: boolean, bytes: Uint8Array, start: number, end: number): void {
    (fromCaller ? this.request : this.response).add(bytes, start, end);
    super.data(call, fromCaller, bytes, start, end);
  }

  override ended(call: CallFacts): void {
    const tally = ({ messages, bytes }: MessageTally): string => `${messages} of ${bytes} bytes`;
    const what = this.#all ? `, ${tally(this.request)}, ${tally(this.response)}` : "";
    this.events.push(`ended ${status[call.code]} ${call.reason ?? ""}${what}`);
    super.ended(call);
  }
}

let pair: ProxyPair;
const servers: Http2Server[] = [];

beforeEach(async () => {
  pair = await ProxyPair.start({
    Unary: (call, respond) => respond(null, call.request),
    Bidi: (call) => call.on("data", (bytes) => call.write(bytes)).on("end", () => call.end()),
  });
});
afterEach(() => {
  pair.stop();
  for (const server of servers.splice(0)) server.close();
});

function observe(side: TestSide, all = false): string[] {
  const events: string[] = [];
  side.observe = (call) => call.observe(new Heard(events, all));
  return events;
}

describe("an observer", () => {
  test("hears a call from its judgement to its end, with endpoint, messages and bytes", async () => {
    const [out, inside] = [observe(pair.caller, true), observe(pair.callee, true)];
    await pair.client().unary(Buffer.alloc(100));
    await eventually("both ended", () => out.length + inside.length >= 10);
    const whole = ["attempt 1 answered", "ended OK , 1 of 105 bytes, 1 of 105 bytes"];
    expect(out).toEqual([
      "judged routed by revision 1, epoch 1, named",
      "attempt 1 at bytes ADDRESS",
      "responded",
      ...whole,
    ]);
    expect(inside).toEqual([
      "judged allowed by revision 1, epoch 1, named",
      "attempt 1 at app-1 ADDRESS",
      "responded",
      ...whole,
    ]);
  });

  test("hears refusals of policy, and of the proxy", async () => {
    const [out, inside] = [observe(pair.caller), observe(pair.callee)];
    pair.callee.policy.switchTo(buildPolicy(2, [{ service: "bytes", allow: [] }]));
    await pair.client().unary(Buffer.alloc(1));
    await pair.client("nobody").unary(Buffer.alloc(1));
    await eventually("all ended", () => out.at(-1)?.startsWith("ended UNAVAILABLE") === true);
    expect(inside).toEqual(["judged denied by revision 2, epoch 2, named", "ended PERMISSION_DENIED denied"]);
    expect(out.at(-1)).toBe("ended UNAVAILABLE unknown-service");
  });

  test("I10: hears that an open call is judged again, and what becomes of its attempt", async () => {
    const inside = observe(pair.callee);
    const stream = pair.client().bidi();
    stream.on("error", () => {});
    await new Promise((resolve) => {
      stream.once("data", resolve);
      stream.write(Buffer.alloc(10));
    });
    pair.callee.policy.switchTo(buildPolicy(2, [{ service: "bytes", allow: [] }]));
    await eventually("it ended", () => inside.some((event) => event.startsWith("ended")));
    expect(inside).toEqual([
      "judged allowed by revision 1, epoch 1, named",
      "attempt 1 at app-1 ADDRESS",
      "responded",
      "judged denied by revision 2, epoch 2, named",
      "attempt 1 cancelled",
      "ended PERMISSION_DENIED denied",
    ]);
  });

  test("hears each attempt: the call outlives those that were refused", async () => {
    let refusals = 2;
    await serve((stream) => {
      if (refusals-- > 0) stream.close(constants.NGHTTP2_REFUSED_STREAM);
      else {
        stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
        stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
        stream.end(Buffer.alloc(5));
      }
    });
    const inside = observe(pair.callee);
    const { error } = await pair.client().unary(Buffer.alloc(10));
    await eventually("it ended", () => inside.some((event) => event.startsWith("ended")));
    expect([error, inside.filter((event) => /^(attempt|ended)/.test(event))]).toEqual([
      undefined,
      [
        ...["attempt 1 at own ADDRESS", "attempt 1 refused", "attempt 2 at own ADDRESS", "attempt 2 refused"],
        ...["attempt 3 at own ADDRESS", "attempt 3 answered", "ended OK "],
      ],
    ]);
  });

  test("hears that an attempt is given up for another one, which gets the messages again", async () => {
    const [streams, codes, received]: [ServerHttp2Stream[], number[], Buffer[]] = [[], [], []];
    await serve((stream) => {
      if (streams.push(stream) === 1) stream.on("close", () => codes.push(stream.rstCode));
      else
        stream
          .on("data", (bytes: Buffer) => received.push(bytes))
          .on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }))
          .on("end", () => {
            stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
            stream.write(Buffer.alloc(5));
          });
    });
    const inside: string[] = [];
    const calls: Call[] = [];
    pair.callee.observe = (call) => {
      calls.push(call);
      call.observe(new Heard(inside, false));
    };
    const result = pair.client().unary(Buffer.from("kept"));
    await eventually("the first attempt is there", () => streams.length === 1);
    const [call] = calls;
    if (call === undefined) throw new Error("no call");
    expect(call.abandon()).toBe(true);
    expect(call.abandon()).toBe(false); // none is upstream
    pair.inbound.sendAgain(call, false);
    await eventually("the caller has the head", () => inside.includes("responded"));
    expect(call.abandon()).toBe(false); // too late
    streams[1]?.end();
    expect((await result).error).toBeUndefined();
    expect(Buffer.concat(received).subarray(5).toString()).toBe("kept");
    await eventually("it ended", () => inside.at(-1) === "ended OK ");
    expect([codes[0], inside.filter((event) => event.startsWith("attempt"))]).toEqual([
      8, // CANCEL
      [...["attempt 1 at own ADDRESS", "attempt 1 cancelled"], ...["attempt 2 at own ADDRESS", "attempt 2 answered"]],
    ]);
  });

  test("leaves those alone that were attached before it", async () => {
    const [first, second]: string[][] = [[], []];
    pair.callee.observe = (call) => {
      call.observe(new Heard(first as string[], true));
      call.observe(new Heard(second as string[], true));
    };
    await pair.client().unary(Buffer.alloc(1));
    await eventually("both ended", () => second?.at(-1)?.startsWith("ended") === true);
    expect(first).toEqual(second);
    expect(first).toHaveLength(5);
  });
});

test("a plan's changes: fields are taken from request and response, and others added, of attempts after the first too", async () => {
  const heads: IncomingHttpHeaders[] = [];
  await serve((stream, head) => {
    heads.push(head);
    if (heads.length === 1) stream.close(constants.NGHTTP2_REFUSED_STREAM);
    else {
      const response = { ":status": 200, "content-type": "application/grpc", "x-inner": "1", "x-kept": "2" };
      stream.respond(response, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0", "x-inner": "3" }));
      stream.end(Buffer.alloc(5));
    }
  });
  const added = [new PreparedField("x-added", "yes")];
  pair.callee.gate = (call) => {
    const { plan } = call;
    if (plan !== null)
      call.plan = {
        ...plan,
        last: [...plan.last, ...added],
        request: new FieldChanges(["x-secret", "user-agent"], added),
        response: new FieldChanges(["x-inner"], added),
      };
    return undefined;
  };
  const metadata = new Metadata();
  for (const [name, value] of [
    ["x-secret", "s"],
    ["x-plain", "p"],
  ] as const)
    metadata.add(name, value);
  const { error, headers, trailers } = await pair.client().unary(Buffer.alloc(1), metadata);
  expect([error, heads.length]).toEqual([undefined, 2]);
  for (const head of heads)
    expect([head["x-secret"], head["user-agent"], head["x-plain"], head["x-added"]]).toEqual([
      ...[undefined, undefined],
      ...["p", "yes"],
    ]);
  const seen = (name: string): unknown => headers?.get(name)[0];
  expect([seen("x-inner"), seen("x-kept"), seen("x-added")]).toEqual([undefined, "2", "yes"]);
  expect(trailers.get("x-inner")).toEqual(["3"]);
});

/** Has the application be this handler alone. */
async function serve(onStream: (stream: ServerHttp2Stream, head: IncomingHttpHeaders) => void): Promise<void> {
  const server = createServer();
  server.on("stream", (stream, head) => {
    stream.on("error", () => {}).resume();
    onStream(stream, head);
  });
  servers.push(server);
  const path = join(pair.dir, "own.sock");
  await new Promise<void>((resolve) => server.listen(path, resolve));
  pair.callee.app.set({ instance: "own", target: { path } });
}

/** Holds calls back until it is told. */
class HeldBack implements CallGate {
  readonly opened: Promise<Answer | undefined>;
  open!: (answer?: Answer) => void;
  fail!: (error: Error) => void;
  left = 0;

  constructor() {
    this.opened = new Promise((resolve, reject) => {
      this.open = resolve;
      this.fail = reject;
    });
  }

  leave(): void {
    this.left++;
  }
}

describe("a gate", () => {
  const held: HeldBack[] = [];
  beforeEach(() => {
    held.length = 0;
  });

  function close(side: TestSide): string[] {
    side.gate = () => {
      const gate = new HeldBack();
      held.push(gate);
      return gate;
    };
    return observe(side);
  }

  for (const name of ["caller", "callee"] as const) {
    test(`of the ${name}'s proxy holds a call back, with what is sent for it, until it opens`, async () => {
      const events = close(pair[name]);
      const stream = pair.client().bidi();
      const echoed: Buffer[] = [];
      stream.on("data", (bytes: Buffer) => echoed.push(bytes));
      for (const text of ["one", "two"]) stream.write(Buffer.from(text));
      await eventually("it is held", () => held.length === 1);
      expect(events.filter((event) => event.startsWith("attempt"))).toEqual([]);
      held[0]?.open();
      await eventually("its messages arrived", () => echoed.length === 2);
      expect(echoed.map(String)).toEqual(["one", "two"]);
      const isOver = once(stream, "end"); // a call that the test left open would fail when its proxies stop
      stream.end();
      await isOver;
      await eventually("it ended", () => events.at(-1) === "ended OK ");
      expect(held[0]?.left).toBe(0);
    });
  }

  test("may answer the call instead", async () => {
    const events = close(pair.callee);
    const result = pair.client().unary(Buffer.alloc(1));
    await eventually("it is held", () => held.length === 1);
    held[0]?.open(unavailableAnswer("overload", "the journal is full", 1));
    expect((await result).error?.details).toBe("the journal is full");
    await eventually("it ended", () => events.at(-1) === "ended UNAVAILABLE overload");
    expect(events.some((event) => event.startsWith("attempt"))).toBe(false);
  });

  test("that fails costs its own call alone", async () => {
    close(pair.callee);
    const result = pair.client().unary(Buffer.alloc(1));
    await eventually("it is held", () => held.length === 1);
    held[0]?.fail(new Error("the disk is gone"));
    expect((await result).error?.code).toBe(status.INTERNAL);
    pair.callee.gate = undefined;
    expect((await pair.client().unary(Buffer.alloc(1))).error).toBeUndefined();
  });

  test("is left when the deadline passes, the caller cancels or policy refuses; what opens late sends nothing", async () => {
    const events = close(pair.callee);
    const late = pair.client().unary(Buffer.alloc(1), undefined, { deadline: Date.now() + 2000 });
    await eventually("the first is held", () => held.length === 1);
    expect((await late).error?.code).toBe(status.DEADLINE_EXCEEDED);
    const cancelled = pair.client().bidi();
    cancelled.on("error", () => {});
    cancelled.write(Buffer.alloc(1));
    await eventually("the second is held", () => held.length === 2);
    cancelled.cancel();
    await eventually("the second is left", () => held[1]?.left === 1);
    const refused = pair.client().unary(Buffer.alloc(1));
    await eventually("the third is held", () => held.length === 3);
    pair.callee.policy.switchTo(buildPolicy(2, [{ service: "bytes", allow: [] }]));
    expect((await refused).error?.code).toBe(status.PERMISSION_DENIED);
    await eventually("each was left once", () => held.every(({ left }) => left === 1));
    for (const gate of held) gate.open();
    pair.callee.gate = undefined;
    pair.callee.policy.switchTo(buildPolicy(3, [{ service: "bytes", allow: [everyone] }]));
    expect((await pair.client().unary(Buffer.alloc(1))).error).toBeUndefined();
    expect(events.filter((event) => event.startsWith("attempt 1 at"))).toHaveLength(1);
  });
});

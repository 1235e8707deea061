/**
 * One proxy's calls that are hedged and mirrored while streams answer, fail, are refused, stall and end in any order, on a clock that
 * is set: 10,000 seeds. The call, its hedge and its copy are the real ones; streams and connections are not.
 */
import { expect, test } from "@jest/globals";
import { decideHedge } from "../../core/balance/hedge-decision.js";
import { buildSpiffeId } from "../../core/identity.js";
import type { Endpoint } from "../../core/model.js";
import { FieldBlock } from "../../data-plane/http2/field-block.js";
import { MemoryBudget } from "../../data-plane/http2/memory-budget.js";
import type { Stream, StreamSink } from "../../data-plane/http2/stream.js";
import { unavailableAnswer } from "../../data-plane/proxy/answer.js";
import { Call } from "../../data-plane/proxy/forward/call.js";
import type { CallOwner } from "../../data-plane/proxy/forward/call-owner.js";
import type { DeadlineWheel, Timed } from "../../data-plane/proxy/forward/deadline-wheel.js";
import { SeldomLog } from "../../data-plane/proxy/forward/seldom-log.js";
import type { UpstreamSession } from "../../data-plane/proxy/forward/upstream-session.js";
import { CallHedge } from "../../data-plane/proxy/hedge/call-hedge.js";
import { MirroredCall, mirrorBytesMax, mirrorsOpenMax } from "../../data-plane/proxy/mirror/mirrored-call.js";
import { Reaches } from "../../data-plane/proxy/reaches.js";
import { ServiceTraffic } from "../../data-plane/proxy/service-traffic.js";
import type { StreamWaiter } from "../../data-plane/proxy/stream-queue.js";
import type { UpstreamPool } from "../../data-plane/proxy/upstream-pool.js";
import type { UpstreamTarget } from "../../data-plane/proxy/upstream-target.js";
import { silentLogger } from "../../runtime/log.js";
import { RecordedMetrics } from "../support/recorded-metrics.js";
import { runs } from "../support/runs.js";
import { drawsOf } from "../support/seeded-draws.js";

const seeds = runs(10_000);
/** What a caller may send before any of it was taken. */
const callerWindow = 65_535;
/** What is kept of a request: what was sent, and what came while no try was open. */
const keptMax = 64 * 1024 + callerWindow;
const chunk = Buffer.alloc(callerWindow);
const self = buildSpiffeId("test", "service", "shop");

/** A stream of either side. It takes what its window lets it, and checks what is done to it. */
class FakeStream {
  readonly connection;
  readonly name: string;
  sink: StreamSink | undefined;
  sending = 0;
  closed = false;
  receiveEnded = false;
  oversized = false;
  framed = true;
  unconsumed = 0;
  keptBytes = 0;
  waitingBytes = 0;
  openedAtMs = 0;
  /** Whole bytes that were sent on it, and the window that is left. */
  sent = 0;
  window: number;
  heads = 0;
  ends = 0;
  hasHead = false;

  constructor(world: World, name: string, window: number) {
    this.name = name;
    this.window = window;
    this.connection = {
      ...{ budget: world.memory, peer: { maxHeaderListSize: 1e9 }, limits: {}, dead: false },
      ...{ control: { draining: false }, headers: { check: { status: 200 } } },
    };
  }

  sendFields(_first: unknown, _fields: unknown, _last: unknown, endStream: boolean): void {
    if (this.sending === 2) throw new Error(`${this.name}: a block after the end`);
    this.sending = endStream ? 2 : 1;
    if (endStream) this.ends++;
    else this.heads++;
  }

  sendData(_bytes: Uint8Array, start: number, end: number, endStream: boolean): number {
    const length = end - start;
    if (this.closed || this.sending !== 1) return length;
    this.sent += length;
    const taken = Math.min(length, this.window);
    this.window -= taken;
    this.waitingBytes += length - taken;
    if (endStream) this.sending = 2;
    return taken;
  }

  consumed(bytes: number): void {
    this.unconsumed -= bytes;
    if (this.unconsumed < 0) throw new Error(`${this.name}: ${-this.unconsumed} bytes were given back twice`);
  }

  reset(): void {
    this.closed = true;
  }

  /** The peer opens its window. */
  take(): void {
    const bytes = this.waitingBytes;
    this.waitingBytes = 0;
    this.window = 100_000;
    if (bytes > 0) this.sink?.onTaken(this as unknown as Stream, bytes);
  }

  get isOpen(): boolean {
    return !this.closed && !this.receiveEnded;
  }
}

function fieldsOf(fields: Readonly<Record<string, string>>): FieldBlock {
  const block = new FieldBlock();
  for (const [name, value] of Object.entries(fields)) block.add(name, value);
  return block;
}

class World {
  readonly draw: () => number;
  readonly memory = new MemoryBudget(10_000_000);
  readonly timers = new Set<Timed>();
  readonly later: { readonly atMs: number; readonly run: () => void }[] = [];
  readonly streams: FakeStream[] = [];
  readonly copies: FakeStream[] = [];
  readonly metrics = new RecordedMetrics();
  readonly traffic: ServiceTraffic;
  readonly attempts: number;
  /** A long request whose copy is not read. */
  readonly isStuck: boolean;
  /** The longest piece that the caller sends at once. */
  readonly pieceMax: number;
  inbound!: FakeStream;
  call!: Call;
  nowMs = 0;
  taken = 0;
  received = 0;
  isOver = false;

  constructor(seed: number) {
    this.draw = drawsOf(seed);
    this.isStuck = this.draw() < 0.3;
    this.pieceMax = this.isStuck || this.draw() < 0.2 ? chunk.length : 10_000;
    this.attempts = 2 + Math.floor(this.draw() * 4);
    const nowMs = () => this.nowMs;
    const reaches = new Reaches(nowMs);
    const deps = { proxyId: "p", labels: [], log: silentLogger, nowMs, retries: { refused: 0 }, reaches };
    this.traffic = new ServiceTraffic({ ...deps, metrics: this.metrics }, "bytes");
    const { budget } = this.traffic;
    const take = budget.take.bind(budget);
    budget.take = (nowMs) => {
      const may = take(nowMs);
      if (may) this.taken++;
      return may;
    };
  }

  readonly #wheel = {
    add: (timed: Timed, dueMs: number): void => {
      timed.dueMs = dueMs;
      timed.wheelSlot = 1;
      this.timers.add(timed);
    },
    remove: (timed: Timed): void => {
      timed.wheelSlot = -1;
      this.timers.delete(timed);
    },
  };

  #session(name: string, streams: FakeStream[]): UpstreamSession {
    const open = (sink: StreamSink, nowMs: number): FakeStream | null => {
      if (this.draw() < 0.05) return null;
      const stream = new FakeStream(this, name, this.draw() * 30_000);
      stream.sink = sink;
      stream.openedAtMs = nowMs;
      streams.push(stream);
      return stream;
    };
    const session = {
      ...{ name, version: "v1", connection: { open, peer: { maxHeaderListSize: 1e9 } } },
      ...{ released: () => {}, cancel: (stream: FakeStream) => stream.reset() },
    };
    return session as unknown as UpstreamSession;
  }

  /** Gives a stream at once, later, or never. */
  #pool(streams: FakeStream[]): UpstreamPool {
    const acquire = ({ key }: UpstreamTarget, waiter: StreamWaiter): void => {
      const give = (): void => {
        if (waiter.over) return;
        if (this.draw() < 0.2) waiter.end(new Error("not reached"));
        else if (waiter.open(this.#session(key, streams))) waiter.end(undefined);
        else this.#soon(give);
      };
      if (this.draw() < 0.5) give();
      else this.#soon(give);
    };
    return { acquire } as unknown as UpstreamPool;
  }

  #soon(run: () => void): void {
    this.later.push({ atMs: this.nowMs + this.draw() * 200, run });
  }

  #carry = (): void => {
    const { call } = this;
    call.waiting = { leave: () => {} };
    this.#soon(() => {
      if (call.settled || call.isTrying) return;
      call.waiting = null;
      if (this.draw() < 0.3) call.answer(unavailableAnswer("unreachable", "none is reached", 1));
      else if (!call.send(this.#session(`again ${this.streams.length}`, this.streams), null)) this.#carry();
    });
  };

  begin(): void {
    const owner: CallOwner<Call> = {
      ...{
        direction: "outbound",
        fromPeer: true,
        isForClients: false,
        labels: new Map(),
        oversized: new SeldomLog(silentLogger),
      },
      ...{ nowMs: () => this.nowMs, watch: this.#wheel.add, unwatch: this.#wheel.remove, attemptEnded: () => {} },
      sendAgain: () => this.#carry(),
      mayGoElsewhere: () => false,
      carry: () => this.#carry(),
      ended: () => {
        this.isOver = true;
      },
    };
    this.inbound = new FakeStream(this, "caller", Number.POSITIVE_INFINITY);
    const call = new Call(owner, this.inbound as unknown as Stream, "bytes", "a.B/C", self, false, 0);
    this.call = call;
    call.keep(fieldsOf({ ":path": "/a.B/C" }));
    call.plan = { first: [], last: [], revision: 1 };
    call.traffic = this.traffic;
    this.traffic.budget.earn(0);
    if (this.draw() < 0.5) call.setTimeout(50 + this.draw() * 2000);
    this.#attach(call);
    if (!call.send(this.#session("i0", this.streams), null)) this.#carry();
  }

  #attach(call: Call): void {
    const shared = { deadlines: this.#wheel as unknown as DeadlineWheel, budget: this.memory, nowMs: () => this.nowMs };
    const endpoints = Array.from({ length: 1 + Math.floor(this.draw() * 6) }, (_, index) => endpointOf(`i${index}`));
    const targetOf = (_service: string, { proxyId: key }: Endpoint): UpstreamTarget => ({
      key,
      dial: () => Promise.reject(),
    });
    const hedge = {
      ...{ ...shared, pool: this.#pool(this.streams), targetOf, attemptEnded: () => {} },
      choose: (_call: Call, tried: ReadonlySet<string>) => endpoints.find(({ proxyId }) => !tried.has(proxyId)),
      endpointOf: (name: string) => endpoints.find(({ proxyId }) => proxyId === name),
      hedged: this.metrics.hedged.bind(this.metrics),
    };
    const policy = { attempts: this.attempts, delayMs: 1 + this.draw() * 50 };
    call.retry = new CallHedge(policy, hedge, call, this.traffic, this.#carry);
    const choose = (): Endpoint | undefined => (this.draw() < 0.8 ? endpointOf("copy") : undefined);
    const mirrored = this.metrics.mirrored.bind(this.metrics);
    const copies = { ...shared, pool: this.#pool(this.copies), targetOf, choose, mirrored };
    const mirror = { version: "v2", percent: 10_000, share: 1 };
    call.observe(new MirroredCall(copies, call, this.traffic, mirror));
  }

  step(): void {
    this.nowMs += this.draw() * 20;
    for (const timed of [...this.timers]) {
      if (timed.dueMs > this.nowMs || !this.timers.has(timed)) continue;
      this.#wheel.remove(timed);
      timed.onDue();
    }
    for (const one of this.later.filter(({ atMs }) => atMs <= this.nowMs)) {
      this.later.splice(this.later.indexOf(one), 1);
      one.run();
    }
    for (const stream of [...this.streams, ...this.copies])
      if (stream.isOpen && this.draw() < (this.isStuck ? 0.02 : 0.1)) this.#happens(stream);
    if (this.isStuck) for (const stream of this.streams) if (stream.isOpen) stream.take();
    if (this.draw() < (this.isStuck ? 0.8 : 0.2)) this.#fromCaller();
    this.#check();
  }

  /** Something of the other side of a stream. */
  #happens(stream: FakeStream): void {
    const [sink, what, own] = [stream.sink, this.draw(), stream as unknown as Stream];
    if (sink === undefined) return;
    if (what < 0.3) {
      if (!this.isStuck || !this.copies.includes(stream)) stream.take();
    } else if (what < 0.4) {
      stream.closed = true;
      stream.connection.dead = this.draw() < 0.5;
      sink.onReset(own, this.draw() < 0.5 ? 8 : 2, true, !stream.hasHead && this.draw() < 0.5);
    } else if (stream.hasHead) {
      stream.receiveEnded = true;
      sink.onTrailers(own, fieldsOf({ "grpc-status": "0" }));
    } else if (what < 0.7) {
      const code = [0, 2, 5, 8, 14][Math.floor(this.draw() * 5)];
      const pushback = this.draw() < 0.2 ? { "grpc-retry-pushback-ms": this.draw() < 0.5 ? "-1" : "40" } : {};
      stream.receiveEnded = true;
      sink.onResponse(own, fieldsOf({ "grpc-status": String(code), ...pushback }), true);
    } else {
      stream.hasHead = true;
      sink.onResponse(own, fieldsOf({ "x-a": "1" }), false);
    }
  }

  #fromCaller(): void {
    const { call, inbound } = this;
    if (inbound.closed || inbound.receiveEnded || this.isOver) return;
    const own = inbound as unknown as Stream;
    if (this.draw() < 0.05) {
      inbound.closed = true;
      call.onReset(own, 8, true, false);
      return;
    }
    const bytes = Math.min(callerWindow - inbound.unconsumed, Math.floor(this.draw() * this.pieceMax));
    const isLast = this.draw() < (this.isStuck ? 0.01 : 0.2);
    inbound.unconsumed += bytes;
    if (!call.settled) this.received += bytes;
    inbound.receiveEnded = isLast;
    call.onData(own, chunk, 0, bytes, isLast);
  }

  #check(): void {
    const { inbound, traffic, call } = this;
    if (inbound.heads > 1 || inbound.ends > 1) throw new Error(`${inbound.heads} heads, ${inbound.ends} ends`);
    const open = this.streams.filter(({ isOpen }) => isOpen);
    if (open.length > this.attempts) throw new Error(`${open.length} tries are open, ${this.attempts} may be`);
    for (const { waitingBytes, name } of open.length > 1 ? open : [])
      if (waitingBytes > keptMax) throw new Error(`${waitingBytes} bytes wait at ${name}`);
    for (const { waitingBytes } of this.copies.filter(({ isOpen }) => isOpen))
      if (waitingBytes > mirrorBytesMax) throw new Error(`${waitingBytes} bytes of a copy wait`);
    if (traffic.mirrorsOpen > mirrorsOpenMax || traffic.mirrorsOpen < 0) throw new Error("copies are miscounted");
    const begun = this.metrics.hedges.length;
    if (begun > this.taken) throw new Error(`${begun} tries beside others, ${this.taken} were paid for`);
    if (inbound.heads === 1 && open.length > 1) throw new Error("tries are open beside the one that answered");
    if (call.settled && open.some((stream) => stream.sink === undefined)) throw new Error("a stream is nobody's");
  }

  /** The call ends; nothing may be left of it. */
  settle(): void {
    const own = this.inbound as unknown as Stream;
    if (!this.isOver) {
      this.inbound.closed = true;
      this.call.onReset(own, 8, true, false);
    }
    for (const { run } of this.later.splice(0)) run();
    this.nowMs += 100_000;
    for (const timed of [...this.timers]) {
      this.#wheel.remove(timed);
      timed.onDue();
    }
    const left = [...this.streams, ...this.copies].filter(({ isOpen }) => isOpen).map(({ name }) => name);
    if (left.length > 0) throw new Error(`left open: ${left.join(", ")}`);
    if (this.timers.size > 0) throw new Error("a timer is left");
    const { usedBytes, replayBytes } = this.memory;
    if (usedBytes !== 0 || replayBytes !== 0) throw new Error(`${usedBytes} bytes are kept, ${replayBytes} for copies`);
    if (this.traffic.mirrorsOpen !== 0) throw new Error(`${this.traffic.mirrorsOpen} copies are open`);
    if (this.copies.length > 1 || this.metrics.copies.length > 1) throw new Error("a call was copied twice");
    const names = this.streams.map(({ name }) => name);
    if (new Set(names).size < names.length) throw new Error(`the same instance twice: ${names.join(", ")}`);
  }
}

function endpointOf(proxyId: string): Endpoint {
  const place = { proxyId, service: "bytes", instance: proxyId, version: "v1", address: proxyId };
  return { ...place, labels: [], gone: false, timeMs: 0 };
}

test("whatever streams do, a hedged and mirrored call has one answer, keeps to its budgets and leaves nothing behind", () => {
  const first = Number(process.env.HEDGE_SEED ?? 1);
  const sums: Record<string, number> = {};
  const count = (what: string): void => {
    sums[what] = (sums[what] ?? 0) + 1;
  };
  for (let seed = first; seed < first + seeds; seed++) {
    const world = new World(seed);
    try {
      world.begin();
      for (let step = 0; step < 60; step++) world.step();
      world.settle();
    } catch (error) {
      throw new Error(`HEDGE_SEED=${seed}: ${error instanceof Error ? error.stack : error}`);
    }
    for (const outcome of [...world.metrics.hedges, ...world.metrics.copies]) count(outcome);
    if (world.inbound.heads > 0) count("answered calls");
  }
  for (const what of [
    "won",
    "lost",
    "failed",
    "answered",
    "answered calls",
    "cut",
    "late",
    "slow",
    "unreachable",
    "reset",
  ])
    expect([what, (sums[what] ?? 0) > seeds / 200]).toEqual([what, true]);
});

test("a failure is the answer, waits for the others, or begins the next try", () => {
  const failed = { code: 14, tries: 1, pushbackMs: undefined };
  const kinds = (tries: number, open: number, pushbackMs?: number, code = 14, mayBegin = true): string =>
    decideHedge({ attempts: 3 }, { ...failed, code, tries, pushbackMs }, open, mayBegin).kind;
  expect([kinds(1, 0), kinds(2, 1), kinds(3, 1), kinds(3, 0)]).toEqual(["next", "next", "others", "answer"]);
  expect([kinds(1, 0, -1), kinds(1, 1, -1), kinds(1, 0, 50)]).toEqual(["answer", "others", "next"]);
  expect([kinds(1, 1, undefined, 5), kinds(1, 1, undefined, 14, false)]).toEqual(["answer", "others"]);
});

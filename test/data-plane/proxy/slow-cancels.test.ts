/** Callers that cancel as fast as they call, on a connection to another proxy that others share. */
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { buildSpiffeId } from "../../../core/identity.js";
import { Http2Exchange } from "../../../data-plane/edge/web/http2-exchange.js";
import { WebSide } from "../../../data-plane/edge/web/web-side.js";
import { defaultLimits } from "../../../data-plane/http2/limits.js";
import { MemoryBudget } from "../../../data-plane/http2/memory-budget.js";
import { PreparedField } from "../../../data-plane/http2/prepared-field.js";
import { errorCode, frameType } from "../../../data-plane/http2/protocol.js";
import type { Stream, StreamSink } from "../../../data-plane/http2/stream.js";
import { Call } from "../../../data-plane/proxy/forward/call.js";
import type { CallOwner } from "../../../data-plane/proxy/forward/call-owner.js";
import { SlowCancels } from "../../../data-plane/proxy/forward/slow-cancels.js";
import type { UpstreamSession } from "../../../data-plane/proxy/forward/upstream-session.js";
import { frame, word } from "../../support/wire.js";
import { blockOf, EnginePeer, goodRequest, Heard } from "../http2/engine-peer.js";

const head = [new PreparedField(":method", "POST")];
const callsMax = 10;
const nothing = (): void => {};
const callOwner = {
  ...{ direction: "outbound", fromPeer: false, labels: new Map(), watch: nothing, unwatch: nothing },
  ...{ sendAgain: nothing, mayGoElsewhere: () => false, carry: nothing, attemptEnded: nothing, ended: nothing },
};
let nowMs: number;
let client: EnginePeer;
let upstream: EnginePeer;
let cancels: SlowCancels;
let nextId: number;

beforeEach(() => {
  jest.useFakeTimers();
  nowMs = 1000;
  nextId = 1;
  const requestRules = { ...defaultLimits.requestRules, grpcOnly: false };
  client = new EnginePeer(true, { concurrentStreamsMax: callsMax, requestRules }).hello();
  upstream = new EnginePeer(false).hello([[3, 10_000]]);
  cancels = new SlowCancels(
    () => nowMs,
    () => {},
  );
});
afterEach(() => void jest.useRealTimers());

function openUpstream(): Stream {
  const stream = upstream.connection.open(new Heard(), nowMs);
  if (stream === null) throw new Error("no room upstream");
  stream.sendFields(head, null, null, false);
  return stream;
}

/** A client's call that is sent on, and cancelled in the same breath. Returns whether it was taken. */
function callAndCancel(): boolean {
  const id = nextId;
  nextId += 2;
  client.send(client.headers(id));
  const inbound = client.heard.get(id)?.stream;
  if (inbound === undefined || inbound === null) return false;
  const sent = openUpstream();
  inbound.sink = { ...inbound.sink, onReset: () => cancels.cancel(sent, inbound) } satisfies StreamSink;
  client.send(frame(frameType.resetStream, 0, id, word(errorCode.cancel)));
  return true;
}

function pass(ms: number): void {
  nowMs += ms;
  jest.advanceTimersByTime(ms);
}

test("a client never has more calls open upstream than it may have open itself", () => {
  let most = 0;
  for (let sent = 0; sent < 300; sent++) {
    callAndCancel();
    most = Math.max(most, upstream.connection.streams.count);
  }
  expect(most).toBe(callsMax); // the first hundred are cancelled at once
  expect(callAndCancel()).toBe(false);
  pass(60);
  expect(upstream.connection.streams.count).toBe(0);
  expect(callAndCancel()).toBe(true);
});

test("it may call again when the connection upstream has closed", () => {
  for (let sent = 0; sent < 300; sent++) callAndCancel();
  expect(callAndCancel()).toBe(false);
  cancels.stop();
  upstream = new EnginePeer(false).hello([[3, 10_000]]);
  expect(callAndCancel()).toBe(true);
});

/** Sends a call of an outside client on. */
function sendOn(stream: Stream): void {
  const owner = { ...callOwner, isForClients: true, nowMs: () => nowMs } as unknown as CallOwner<Call>;
  const session = {
    ...{ name: "a", version: "", connection: upstream.connection, released: () => {} },
    cancel: (sent: Stream, caller: Stream | null) => cancels.cancel(sent, caller),
  } as unknown as UpstreamSession;
  const call = new Call(owner, stream, "a", "a.B/C", buildSpiffeId("test", "gateway", "a"), false, nowMs);
  call.plan = { first: head, last: [], revision: 1 };
  stream.sink = call;
  call.send(session, blockOf([]));
}

/** A client's call that is sent on, and whose first message is too long. Returns whether it was taken. */
function callTooLong(): boolean {
  client.answer = sendOn;
  const id = nextId;
  nextId += 2;
  client.send(client.headers(id));
  const prefix = Buffer.of(0, 0xff, 0xff, 0xff, 0xff);
  client.send(client.data(id, prefix));
  return client.heard.has(id);
}

test("a client whose messages are too long has no more calls open upstream either", () => {
  let most = 0;
  for (let sent = 0; sent < 300; sent++) {
    callTooLong();
    most = Math.max(most, upstream.connection.streams.count);
  }
  expect(most).toBe(callsMax);
  expect(callTooLong()).toBe(false);
  pass(60);
  expect(upstream.connection.streams.count).toBe(0);
  expect(callTooLong()).toBe(true);
});

const webRequest = [...goodRequest.slice(0, 4), ["content-type", "application/grpc-web+proto"]] as const;

/** A call in gRPC-Web that is sent on, and whose body begins so. Returns whether it was taken. */
function callWeb(body: Buffer): boolean {
  const side = new WebSide({
    ...{ budget: new MemoryBudget(), limits: () => defaultLimits, nowMs: () => nowMs, refused() {} },
    open: (_exchange, _protocol, stream) => sendOn(stream),
    ...{ isMeant: () => true, find: () => "a", hasNoSideEffects: () => false, descriptors: undefined },
    ...{ origins: [], ownOrigins: () => [], listener: { protocols: ["grpc-web"] } as never },
  });
  client.answer = (stream, { request }) => {
    const fields = blockOf(request.filter(([name]) => name !== ":scheme")); // a proxy drops it as it reads the head
    side.take(new Http2Exchange(stream, fields, "payments", {} as never));
  };
  const id = nextId;
  nextId += 2;
  client.send(client.headers(id, webRequest));
  client.send(client.data(id, body));
  return client.heard.has(id);
}

test.each([
  ["is too long", Buffer.of(0, 0xff, 0xff, 0xff, 0xff)],
  ["is none", Buffer.of(0xff, 0, 0, 0, 0)],
])("nor has a client in gRPC-Web, whose message %s", (_what, body) => {
  let most = 0;
  for (let sent = 0; sent < 300; sent++) {
    callWeb(body);
    most = Math.max(most, upstream.connection.streams.count);
  }
  expect(most).toBe(callsMax);
  expect(callWeb(body)).toBe(false);
  pass(60);
  expect([upstream.connection.streams.count, client.connection.streams.slots]).toEqual([0, 0]);
  expect(callWeb(body)).toBe(true);
});

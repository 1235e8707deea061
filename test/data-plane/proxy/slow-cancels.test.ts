/** Callers that cancel as fast as they call, on a connection to another proxy that others share. */
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { buildSpiffeId } from "../../../core/identity.js";
import { PreparedField } from "../../../data-plane/http2/prepared-field.js";
import { errorCode, frameType } from "../../../data-plane/http2/protocol.js";
import type { Stream, StreamSink } from "../../../data-plane/http2/stream.js";
import { Call } from "../../../data-plane/proxy/forward/call.js";
import type { CallOwner } from "../../../data-plane/proxy/forward/call-owner.js";
import { SlowCancels } from "../../../data-plane/proxy/forward/slow-cancels.js";
import type { UpstreamSession } from "../../../data-plane/proxy/forward/upstream-session.js";
import { frame, word } from "../../support/wire.js";
import { blockOf, EnginePeer, Heard } from "../http2/engine-peer.js";

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
  client = new EnginePeer(true, { concurrentStreamsMax: callsMax }).hello();
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

/** A client's call that is sent on, and whose first message is too long. Returns whether it was taken. */
function callTooLong(isForClients: boolean): boolean {
  const owner = { ...callOwner, isForClients, nowMs: () => nowMs } as unknown as CallOwner<Call>;
  const session = {
    ...{ name: "a", version: "", connection: upstream.connection, released: () => {} },
    cancel: (stream: Stream, caller: Stream | null) => cancels.cancel(stream, caller),
  } as unknown as UpstreamSession;
  client.answer = (stream) => {
    const call = new Call(owner, stream, "a", "a.B/C", buildSpiffeId("test", "gateway", "a"), false, nowMs);
    call.plan = { first: head, last: [], revision: 1 };
    stream.sink = call;
    call.send(session, blockOf([]));
  };
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
    callTooLong(true);
    most = Math.max(most, upstream.connection.streams.count);
  }
  expect(most).toBe(callsMax);
  expect(callTooLong(true)).toBe(false);
  pass(60);
  expect(upstream.connection.streams.count).toBe(0);
  expect(callTooLong(true)).toBe(true);
});

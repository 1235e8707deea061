/** What one caller or the application does on a connection that others use too, and what those notice. */
import { connect } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { errorCode } from "../../../data-plane/http2/protocol.js";
import { refusalReasons } from "../../../data-plane/http2/refusals.js";
import { RecordingUpstream } from "../../conformance/upstream.js";
import { eventually, ProxyPair } from "../../support/proxy-pair.js";
import { RawPeer } from "../../support/raw-peer.js";
import { data, headers, message, ping, request, reset } from "../../support/wire.js";

let pair: ProxyPair;
let app: RecordingUpstream;
let caller: RawPeer;
let others: RawPeer;
let nextId = 1;

function connectCaller(): RawPeer {
  return new RawPeer(connect({ path: join(pair.dir, "out.sock") }), false);
}

beforeEach(async () => {
  pair = await ProxyPair.start({});
  app = new RecordingUpstream();
  const path = join(pair.dir, "raw-app.sock");
  await app.listen(path);
  pair.callee.app.set({ instance: "raw", target: { path } });
  caller = connectCaller();
  others = connectCaller();
  nextId = 1;
  await bystander();
});

afterEach(() => {
  caller.close();
  others.close();
  app.close();
  pair.stop();
});

const fieldsOf = (method: string, answer = "") =>
  request(`/test.Bytes/${method}`, {
    ":scheme": "http",
    ":authority": "bytes",
    ...(answer === "" ? {} : { "x-answer": answer }),
  });

async function status(peer: RawPeer, answer?: string): Promise<string | undefined> {
  const stream = peer.stream(nextId);
  nextId += 2;
  peer.send(headers(stream.id, fieldsOf("Unary", answer)), data(stream.id, message("x"), true));
  await peer.until(() => stream.isOver);
  return stream.value("grpc-status");
}

const bystander = () => status(others);

/** What connections of both proxies ended for. */
function ended(): string[] {
  return refusalReasons.filter((reason) =>
    [pair.caller, pair.callee].some(({ engine }) => engine.counters.ended(reason) > 0),
  );
}

test("3000 calls that are cancelled at once take their places one after the other; others go on", async () => {
  const total = 3000;
  for (let sent = 0; sent < total; sent++) {
    const id = 2 * sent + 1;
    caller.send(headers(id, fieldsOf("Wait")), reset(id, errorCode.cancel));
    if (sent % 100 === 0) expect(await bystander()).toBe("0");
  }
  expect(await bystander()).toBe("0");
  await eventually("all is over", () => app.openCalls === 0, 20_000);
  expect(ended()).toEqual([]);
  expect(caller.goaways).toEqual([]);
});

test("a call that is cancelled ends at the application, soon if many are", async () => {
  for (let sent = 0; sent < 200; sent++) {
    caller.send(headers(2 * sent + 1, fieldsOf("Wait")), reset(2 * sent + 1, errorCode.cancel));
  }
  await eventually("all is over", () => pair.callee.engine.counters.peerResets >= 200 && app.openCalls === 0);
  expect(pair.caller.engine.counters.ended("peer_resets")).toBe(0);
});

test("1000 malformed answers end their calls with 13, and nobody else's", async () => {
  for (let turn = 0; turn < 20; turn++) {
    const ids = Array.from({ length: 50 }, (_, place) => 2 * (50 * turn + place) + 1);
    for (const id of ids) caller.send(headers(id, fieldsOf("Unary", "malformed")), data(id, message("x"), true));
    const [good] = await Promise.all([
      bystander(),
      caller.until(() => ids.every((id) => caller.streams.get(id)?.isOver), 10_000),
    ]);
    expect(good).toBe("0");
    expect(new Set(ids.map((id) => caller.streams.get(id)?.value("grpc-status")))).toEqual(new Set(["13"]));
  }
  expect(ended()).toEqual([]);
});

test("the own application may ping as it likes: each PING is answered once it reads", async () => {
  caller.socket.pause();
  for (let count = 0; count < 200; count++) caller.send(...Array.from({ length: 100 }, () => ping()));
  expect(await bystander()).toBe("0");
  caller.socket.resume();
  await caller.until(() => caller.pingAcks.length === 20_000, 20_000);
  expect(caller.pingAcks.length).toBe(20_000);
  expect(await bystander()).toBe("0");
  expect(ended()).toEqual([]);
});

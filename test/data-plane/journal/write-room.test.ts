/** Requests and responses of journaled writes share one budget of memory. */
import { Metadata, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { AshlarError } from "../../../core/errors.js";
import { RoomShare, WriteRoom } from "../../../data-plane/journal/write-room.js";
import type { Bus } from "../../../runtime/bus.js";
import { JournalNats } from "../../support/journal-nats.js";
import { buildPolicy, everyone } from "../../support/proxy-fakes.js";
import { eventually, ProxyPair } from "../../support/proxy-pair.js";

const journal = {
  mode: "before",
  response: "bytes",
  idempotencyKey: 'request.headers["k"]',
  orderBy: undefined,
} as const;
const roomBytes = 100_000;

let nats: JournalNats;
let pair: ProxyPair;
let applied: number;
let responseBytes: number;

beforeEach(async () => {
  nats = await JournalNats.start("bytes");
  applied = 0;
  responseBytes = 1;
  pair = await ProxyPair.start({
    Unary: (_call, done) => {
      applied += 1;
      done(null, Buffer.alloc(responseBytes, "r"));
    },
  });
  pair.callee.policy.switchTo(buildPolicy(2, [{ service: "bytes", allow: [everyone], journal }]));
  pair.callee.journal = nats.open(pair.callee.policy, "p1", nats.bus, { roomBytes });
});

afterEach(async () => {
  pair.stop();
  await nats.stop();
});

const write = (key: string, bytes: number) => {
  const metadata = new Metadata();
  metadata.set("k", key);
  return pair.client().unary(Buffer.alloc(bytes, "a"), metadata);
};

test("a share takes what was reserved first, and gives all of it back once", () => {
  const room = new WriteRoom(100);
  const [one, other] = [new RoomShare(room), new RoomShare(room)];
  expect([one.use(60), one.reserve(20), one.use(10), room.bytes]).toEqual([true, true, true, 80]);
  expect([one.use(10), room.bytes, other.use(21), other.use(20)]).toEqual([true, 80, false, true]);
  one.end();
  one.end();
  expect([room.bytes, one.use(1), other.use(80), room.bytes]).toEqual([20, false, true, 100]);
});

test("a request for which there is no room is 8, and nothing is appended", async () => {
  const { error } = await write("k1", roomBytes + 1);
  expect(error).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  expect([applied, await nats.stored()]).toEqual([0, []]);
  expect((await write("k1", 50_000)).error).toBeUndefined();
});

test("a request finds no room while that of another write has it, and does afterwards", async () => {
  let isHeld = true;
  const bus: Pick<Bus, "append" | "directGet"> = {
    directGet: (stream, query) => nats.bus.directGet(stream, query),
    append: async (subject, data, options) => {
      if (isHeld) throw new AshlarError("unavailable", "not yet");
      return nats.bus.append(subject, data, options);
    },
  };
  const held = nats.open(pair.callee.policy, "p1", bus, { roomBytes });
  pair.callee.journal = held;
  const first = write("k1", 60_000);
  await eventually("it has its room", () => held.room.bytes > 60_000);
  expect((await write("k2", 60_000)).error).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  isHeld = false;
  expect((await first).error).toBeUndefined();
  await eventually("its room is free", () => held.room.bytes === 0);
  expect((await write("k2", 60_000)).error).toBeUndefined();
  expect((await write("k2", 60_000)).error).toBeUndefined();
  expect(held.counts.totals).toMatchObject({ refused: 1, applied: 2, recorded: 1, unavailable: 0 });
  await eventually("nothing is under way", () => held.open === 0);
});

test("a response for which there is no room: the write is applied and recorded, and its caller told so", async () => {
  responseBytes = 200_000;
  const first = await write("k1", 10);
  expect(first.error).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  expect(first.error?.details).toBe(
    "the write was applied, and the proxy had no room for its response of 200005 bytes",
  );
  expect(first.trailers.get("ashlar-sequence")).toEqual(["1"]);
  const again = await write("k1", 10);
  expect(again.error).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  expect(again.error?.details).toMatch(/the write was applied, and its response of 200005 bytes was too long/);
  expect(applied).toBe(1);
});

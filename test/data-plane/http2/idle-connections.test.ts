/** What a connection holds before its first call, and what it was told until then. */
import { expect, test } from "@jest/globals";
import { Connection } from "../../../data-plane/http2/connection.js";
import { FieldBlock } from "../../../data-plane/http2/field-block.js";
import { defaultLimits } from "../../../data-plane/http2/limits.js";
import { BlockPool } from "../../../data-plane/http2/output.js";
import { settingId } from "../../../data-plane/http2/protocol.js";
import { ping, settings } from "../../support/wire.js";
import { EnginePeer } from "./engine-peer.js";

const response = (peer: EnginePeer): Buffer => {
  peer.answer = (stream) => stream.sendFields(null, blockOfStatus(), null, true);
  peer.send(peer.headers(1, undefined, true));
  return peer.frames().find(({ streamId }) => streamId === 1)?.payload ?? Buffer.alloc(0);
};

function blockOfStatus() {
  const block = new FieldBlock();
  block.add(":status", "200");
  return block;
}

test("a connection without a call keeps no tables of header fields, whatever else it hears", () => {
  const peer = new EnginePeer().hello([[settingId.headerTableSize, 0]]);
  for (let round = 0; round < 3; round++) peer.send(settings([[settingId.initialWindowSize, 70_000]]), ping());
  peer.frames();
  expect(peer.connection.headers.heldBytes).toBe(0);
  const [pool, counters, before] = [new BlockPool(), peer.counters, process.memoryUsage().arrayBuffers];
  const many = Array.from({ length: 500 }, () => {
    const connection = new Connection(true, defaultLimits, { handler: peer, counters, pool }, peer.nowMs);
    connection.takeOutput();
    connection.output.recycle();
    return connection;
  });
  expect((process.memoryUsage().arrayBuffers - before) / many.length).toBeLessThan(2000);
  peer.send(peer.headers(1));
  expect(peer.connection.headers.heldBytes).toBeGreaterThan(10_000);
});

test.each<[string, readonly number[], readonly number[]]>([
  ["nothing", [], []],
  ["the size that it is by default", [4096], []],
  ["more than we use", [65_536], []],
  ["none", [0], [0x20]],
  ["none, then what it is by default", [0, 4096], [0x20, 0x3f, 0xe1, 0x1f]],
  ["up and down", [100, 2048, 30, 200], [0x3e, 0x3f, 0xa9, 0x01]],
])("a peer that allows %s before the first response gets the smallest size and the last", (_name, sizes, updates) => {
  const peer = new EnginePeer().hello();
  for (const size of sizes) peer.send(settings([[settingId.headerTableSize, size]]));
  peer.frames();
  expect([...response(peer)]).toEqual([...updates, 0x88]);
});

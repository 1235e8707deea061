import { expect, test } from "@jest/globals";
import type { Connection } from "../../../data-plane/http2/connection.js";
import { errorCode, frameType } from "../../../data-plane/http2/protocol.js";
import { Endings, type OtherEnd } from "../../../data-plane/proxy/forward/endings.js";
import type { Logger } from "../../../runtime/log.js";
import { frame, word } from "../../support/wire.js";
import { EnginePeer } from "../http2/engine-peer.js";

type Line = readonly [message: string, fields: Readonly<Record<string, unknown>>];

function world() {
  const lines: Line[] = [];
  const time = { nowMs: 0 };
  const log = { warn: (message: string, fields = {}) => lines.push([message, fields]) } as unknown as Logger;
  return { lines, time, endings: new Endings(() => time.nowMs, log) };
}

const peerOf = (place: number): OtherEnd => ({
  who: "a peer proxy",
  name: `spiffe://mesh/service/shop-${place}`,
  address: "10.0.0.7",
});

/** Ended for pings. */
function pinged(): { readonly connection: Connection; readonly peer: EnginePeer } {
  const peer = new EnginePeer().hello();
  for (let count = 0; count < 5; count++) peer.send(frame(frameType.ping, 0, 0, Buffer.alloc(8)));
  return { connection: peer.connection, peer };
}

test("an ended connection is one warning with peer and reason, however often it happens in a minute", () => {
  const { lines, time, endings } = world();
  for (let count = 0; count < 50; count++) endings.note(pinged().connection, peerOf(1));
  expect(lines).toEqual([
    [
      "a connection of a peer proxy was ended, with the calls on it",
      { peer: "spiffe://mesh/service/shop-1", address: "10.0.0.7", reason: "ping_strikes" },
    ],
  ]);
  time.nowMs += 60_000;
  endings.note(pinged().connection, peerOf(1));
  expect(lines[1]?.[1]).toMatchObject({ moreSinceTheLastLine: 49 });
  endings.note(pinged().connection, peerOf(2));
  expect(lines).toHaveLength(3);
});

test("thousands of peers are not remembered for good", () => {
  const { lines, endings } = world();
  const { connection } = pinged();
  for (let place = 0; place < 3000; place++) endings.note(connection, peerOf(place));
  expect(lines).toHaveLength(3000);
  endings.note(connection, peerOf(0));
  expect(lines).toHaveLength(3001);
});

test("that the other side ended it is told with its words, and counted; an end in order is not", () => {
  const { lines, endings } = world();
  const app: OtherEnd = { who: "the own application", name: "unix:/run/app.sock" };
  const angry = new EnginePeer(false).hello();
  const said = Buffer.concat([word(0), word(errorCode.enhanceYourCalm), Buffer.from("too_many\npings")]);
  angry.send(frame(frameType.goaway, 0, 0, said));
  endings.note(angry.connection, app);
  expect(lines).toEqual([
    [
      "the own application ended a connection, with the calls on it",
      { peer: "unix:/run/app.sock", reason: "ENHANCE_YOUR_CALM too_many_pings" },
    ],
  ]);
  expect(angry.counters.ended("by_peer")).toBe(1);
  const calm = new EnginePeer(false).hello();
  calm.send(frame(frameType.goaway, 0, 0, Buffer.concat([word(0), word(errorCode.noError)])));
  endings.note(calm.connection, app);
  const lost = new EnginePeer().hello();
  lost.connection.lost();
  endings.note(lost.connection, app);
  expect(lines).toHaveLength(1);
});

test("what ended a connection is a metric by reason", () => {
  expect(pinged().peer.counters.ended("ping_strikes")).toBe(1);
});

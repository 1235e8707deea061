/** PINGs of clients: those that traffic accounts for, and strikes (gRFC A8). */
import { describe, expect, test } from "@jest/globals";
import { errorCode, frameFlag, frameType } from "../../../data-plane/http2/protocol.js";
import { frame } from "../../support/wire.js";
import { EnginePeer } from "./engine-peer.js";

const calm = errorCode.enhanceYourCalm;
const ping = frame(frameType.ping, 0, 0, Buffer.from("12345678"));

describe("pings that come too often", () => {
  test("pings closer than ten seconds are strikes, the fourth ends it; sending data forgives", () => {
    const peer = new EnginePeer().hello();
    peer.send(ping, ping, ping);
    const answers = peer.frames().filter(({ type, flags }) => type === frameType.ping && flags === frameFlag.ack);
    expect(answers.map(({ payload }) => payload.toString())).toEqual(["12345678", "12345678", "12345678"]);
    peer.send(ping);
    expect(peer.goawayCode()).toBe(calm);
    const busy = new EnginePeer().hello();
    busy.send(busy.headers(1));
    busy.heard.get(1)?.stream?.sendFields(null, null, null, false);
    for (let i = 0; i < 20; i++) {
      busy.send(ping);
      busy.heard.get(1)?.stream?.sendData(Buffer.alloc(10), 0, 10, false);
    }
    expect(busy.connection.dead).toBe(false);
  });

  test("a ping for each DATA frame is fair, also where they come together; as many again are not", () => {
    const peer = new EnginePeer().hello();
    peer.send(peer.headers(1));
    peer.heard.get(1)?.stream?.sendFields(null, null, null, false);
    for (let batch = 0; batch < 3; batch++) {
      for (let i = 0; i < 10; i++) {
        peer.heard.get(1)?.stream?.sendData(Buffer.alloc(10), 0, 10, false);
        expect(peer.frames().filter(({ type }) => type === frameType.data)).toHaveLength(1);
      }
      peer.send(...new Array<Buffer>(10).fill(ping));
      expect(peer.connection.dead).toBe(false);
    }
    peer.send(ping, ping);
    expect(peer.connection.dead).toBe(false);
    peer.send(ping);
    expect(peer.goawayCode()).toBe(calm);
  });

  test("DATA of long ago allows no pings", () => {
    const peer = new EnginePeer().hello();
    peer.send(peer.headers(1));
    peer.heard.get(1)?.stream?.sendFields(null, null, null, false);
    for (let i = 0; i < 50; i++) {
      peer.heard.get(1)?.stream?.sendData(Buffer.alloc(10), 0, 10, false);
      peer.frames();
    }
    for (let second = 0; second < 13; second++) {
      peer.send(ping);
      peer.nowMs += 1000;
    }
    expect(peer.goawayCode()).toBe(calm);
  });
});

/** Who is asked for a sign of life, and who is waited for, by a clock that is told. */
import { describe, expect, test } from "@jest/globals";
import { applicationLimits, type EngineLimits } from "../../../data-plane/http2/limits.js";
import { PreparedField } from "../../../data-plane/http2/prepared-field.js";
import { frameFlag, frameType } from "../../../data-plane/http2/protocol.js";
import { localLimits } from "../../../data-plane/proxy/forward/listener-limits.js";
import { frame, preface, settings } from "../../support/wire.js";
import { EnginePeer, goodRequest, Heard } from "./engine-peer.js";

const head = [new PreparedField(":method", "POST")];

/** Lets the time pass second by second and gives how many PINGs were sent. */
function wait(peer: EnginePeer, seconds: number): number {
  let pings = 0;
  for (let second = 0; second < seconds && !peer.connection.dead; second++) {
    peer.nowMs += 1000;
    peer.connection.tick(peer.nowMs);
    pings += peer.frames().filter(({ type }) => type === frameType.ping).length;
  }
  return pings;
}

/** A client of an application, or of a proxy, with a call that is open. */
function calling(limits: Partial<EngineLimits>): EnginePeer {
  const peer = new EnginePeer(false, { keepaliveIdle: false, ...limits }).hello();
  peer.connection.open(new Heard())?.sendFields(head, null, null, true);
  peer.frames();
  return peer;
}

describe("the own application", () => {
  test("is sent no PING, and blocked for 45 s, 120 s or an hour it loses neither connection nor call", () => {
    const peer = calling(applicationLimits);
    for (const seconds of [45, 120, 3600]) expect(wait(peer, seconds)).toBe(0);
    peer.send(
      peer.headers(
        1,
        [
          [":status", "200"],
          ["grpc-status", "0"],
        ],
        true,
      ),
    );
    expect([peer.connection.dead, peer.connection.streams.count]).toEqual([false, 0]);
  });

  test("as a caller neither: between calls, in the middle of a header block, and before it has said anything", () => {
    for (const say of ["all", "settings", "nothing"]) {
      const peer = new EnginePeer(true, localLimits.engine);
      if (say !== "nothing") peer.hello();
      if (say === "all")
        peer.send(frame(frameType.headers, frameFlag.endStream, 1, peer.block(goodRequest).subarray(0, 3)));
      expect(wait(peer, 120)).toBe(0);
      expect(peer.connection.dead).toBe(false);
      wait(peer, 200);
      expect(peer.connection.dead).toBe(say !== "settings");
    }
  });
});

describe("another proxy", () => {
  const limits = { keepaliveMs: 20_000, keepaliveTimeoutMs: 10_000 };

  test("is asked after a silence while calls are open, and the connection ends without an answer", () => {
    const peer = calling(limits);
    expect(wait(peer, 20)).toBe(0);
    expect(wait(peer, 1)).toBe(1);
    wait(peer, 12);
    expect(peer.connection.dead).toBe(true);
    expect(peer.counters.refused("timeout_keepalive")).toBe(1);
  });

  test("is not asked where the setting is 0, or no call is open", () => {
    expect(wait(calling({ ...limits, keepaliveMs: 0 }), 600)).toBe(0);
    const idle = new EnginePeer(false, { ...limits, keepaliveIdle: false }).hello();
    expect(wait(idle, 600)).toBe(0);
  });

  test("that does not acknowledge our SETTINGS is cut after ten seconds", () => {
    const peer = new EnginePeer(false, limits);
    peer.send(frame(frameType.settings, 0, 0));
    wait(peer, 12);
    expect([peer.connection.dead, peer.counters.refused("timeout_settings")]).toEqual([true, 1]);
  });
});

describe("a process that had no time for its sockets", () => {
  /** Everything a peer may owe an answer to, and how its time ends the connection when nothing is lost. */
  const owed = {
    "the first settings": () => new EnginePeer(true, { keepaliveMs: 0 }),
    "an acknowledgement of settings": () => {
      const peer = new EnginePeer(true, { keepaliveMs: 0 });
      peer.send(preface, settings([]));
      return peer;
    },
    "the rest of a header block": () => {
      const peer = new EnginePeer(true, { keepaliveMs: 0 }).hello();
      peer.send(frame(frameType.headers, frameFlag.endStream, 1, peer.block(goodRequest).subarray(0, 3)));
      return peer;
    },
    "the answer to a PING": () => {
      const peer = new EnginePeer(true, { keepaliveMs: 30_000, keepaliveTimeoutMs: 15_000 }).hello();
      expect(wait(peer, 31)).toBe(1);
      return peer;
    },
  };
  for (const [name, make] of Object.entries(owed)) {
    test(`does not end a peer for ${name}, which may lie unread`, () => {
      const blamed = make();
      blamed.nowMs += 60_000;
      blamed.connection.tick(blamed.nowMs);
      expect(blamed.connection.dead).toBe(true);

      const peer = make();
      peer.nowMs += 60_000;
      peer.connection.tick(peer.nowMs, 59_000);
      expect(peer.connection.dead).toBe(false);
      wait(peer, 60);
      expect(peer.connection.dead).toBe(true);
    });
  }

  test("waits for the answer to the PING of a shutdown", () => {
    const peer = new EnginePeer(true, {}).hello();
    peer.connection.shutdown(peer.nowMs);
    peer.frames();
    peer.nowMs += 60_000;
    peer.connection.tick(peer.nowMs, 59_500);
    expect(peer.frames()).toEqual([]);
    peer.nowMs += 1000;
    peer.connection.tick(peer.nowMs);
    expect(peer.frames().map(({ type }) => type)).toEqual([frameType.goaway]);
  });

  test("does not give up a call that waits for a window", () => {
    const peer = new EnginePeer(true, {}).hello();
    peer.answer = (stream) => {
      stream.sendFields([new PreparedField(":status", "200")], null, null, false);
      stream.sendData(new Uint8Array(70_000), 0, 70_000, false);
    };
    peer.send(peer.headers(1, goodRequest, true));
    peer.frames();
    peer.nowMs += 400_000;
    peer.connection.tick(peer.nowMs, 399_000);
    expect(peer.connection.streams.count).toBe(1);
    peer.nowMs += 301_000;
    peer.connection.tick(peer.nowMs);
    expect(peer.connection.streams.count).toBe(0);
  });
});

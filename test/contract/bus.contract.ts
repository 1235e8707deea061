/** What every Bus promises; run on memory and on a real server. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { bootstrapStreams } from "../../control-plane/store/streams.js";
import {
  blobSubject,
  endpointSubject,
  heartbeatSubject,
  ingestSubject,
  readSubject,
} from "../../core/wire/subjects.js";
import type { Bus, BusMessage } from "../../runtime/bus.js";
import { untilTrue } from "../support/until.js";

export interface BusFixture {
  readonly bootstrap: Bus;
  readonly plane: Bus;
  readonly proxy: Bus;
  /** Takes the server away, and brings it back. */
  lose(): Promise<void>;
  restore(): Promise<void>;
  close(): Promise<void>;
}

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
const textOf = (message: { data: Uint8Array } | undefined): string | undefined =>
  message && Buffer.from(message.data).toString();

export function describeBus(name: string, start: () => Promise<BusFixture>): void {
  describe(name, () => {
    let fixture: BusFixture;
    let plane: Bus;
    let proxy: Bus;
    beforeAll(async () => {
      fixture = await start();
      ({ plane, proxy } = fixture);
      await bootstrapStreams(fixture.bootstrap, { replicas: 1 });
    });
    afterAll(() => fixture.close());

    async function next(messages: AsyncIterable<BusMessage>): Promise<BusMessage> {
      for await (const message of messages) return message;
      throw new Error("the subscription ended");
    }

    test("an append has the stream's next sequence, and compare-and-set holds over the whole stream", async () => {
      expect(await plane.append(ingestSubject("trust", 1), bytes("t1"), { expectLastSequence: 0 })).toBe(1);
      expect(await plane.append(ingestSubject("trust", 2), bytes("t2"), { expectLastSequence: 1 })).toBe(2);
      const late = plane.append(ingestSubject("trust", 7), bytes("t7"), { expectLastSequence: 1 });
      await expect(late).rejects.toMatchObject({ code: "conflict" });
      const info = await plane.streamInfo("ASHLAR_TRUST");
      expect(info).toMatchObject({ firstSequence: 1, lastSequence: 2, messages: 2, dangers: [] });
      const empty = { firstSequence: 1, lastSequence: 0, messages: 0 };
      expect(await plane.streamInfo("ASHLAR_BLOBS")).toMatchObject(empty);
    });

    test("reads by sequence, last and next of a subject, from the leader and directly", async () => {
      for (const read of [plane.leaderGet.bind(plane), proxy.directGet.bind(proxy)]) {
        expect(textOf(await read("ASHLAR_TRUST", { sequence: 2 }))).toBe("t2");
        expect(await read("ASHLAR_TRUST", { sequence: 3 })).toBeUndefined();
        expect(textOf(await read("ASHLAR_TRUST", { lastOf: ingestSubject("trust", 1) }))).toBe("t1");
        expect(textOf(await read("ASHLAR_TRUST", { lastOf: "ashlar.log.trust.*" }))).toBe("t2");
        expect(await read("ASHLAR_TRUST", { lastOf: ingestSubject("trust", 9) })).toBeUndefined();
        const after = await read("ASHLAR_TRUST", { nextOf: "ashlar.log.trust.*", from: 2 });
        expect([after?.sequence, after?.subject, textOf(after), after?.relayed]).toEqual([
          2,
          ingestSubject("trust", 2),
          "t2",
          false,
        ]);
        expect(await read("ASHLAR_TRUST", { nextOf: "ashlar.log.trust.*", from: 3 })).toBeUndefined();
      }
    });

    test("what is committed is republished to readers, as relayed", async () => {
      const heard = proxy.subscribe(readSubject("activations", "*"));
      await proxy.flush();
      const lost = plane.append(ingestSubject("activations", 1), bytes("loser"), { expectLastSequence: 5 });
      await expect(lost).rejects.toMatchObject({ code: "conflict" });
      await plane.append(ingestSubject("activations", 1), bytes("a1"));
      const message = await next(heard);
      expect([message.subject, textOf(message), message.relayed]).toEqual([readSubject("activations", 1), "a1", true]);
      heard.close();
    });

    test("plain messages arrive in order, not relayed; a slow reader loses the oldest and can tell", async () => {
      const slow = plane.subscribe(heartbeatSubject("*", "*"), { queueMax: 3 });
      await plane.flush();
      for (let i = 0; i < 5; i += 1) proxy.publish(heartbeatSubject("payments", "p1"), bytes(`b${i}`));
      await untilTrue(() => slow.dropped === 2);
      const message = await next(slow);
      expect([textOf(message), message.relayed]).toEqual(["b2", false]);
      slow.close();
    });

    test("a write-once subject refuses the second, and a header comes back", async () => {
      const subject = blobSubject("ab".repeat(32), 0);
      await plane.append(subject, bytes("x"), { headers: { "Ashlar-Chunks": "1" } });
      await expect(plane.append(subject, bytes("y"))).rejects.toMatchObject({ code: "exists" });
      for (const read of [plane.leaderGet.bind(plane), proxy.directGet.bind(proxy)]) {
        const stored = await read("ASHLAR_BLOBS", { lastOf: subject });
        expect([textOf(stored), stored?.header("Ashlar-Chunks"), stored?.header("Other")]).toEqual([
          "x",
          "1",
          undefined,
        ]);
      }
    });

    test("an endpoint's last word replaces the one before", async () => {
      const subject = endpointSubject("payments", "p1");
      await proxy.append(subject, bytes("one"));
      await proxy.append(subject, bytes("two"));
      expect(textOf(await plane.directGet("ASHLAR_ENDPOINTS", { lastOf: subject }))).toBe("two");
      expect((await plane.streamInfo("ASHLAR_ENDPOINTS"))?.messages).toBe(1);
    });

    test("what is not permitted is denied", async () => {
      await expect(proxy.append(ingestSubject("trust", 3), bytes("x"))).rejects.toMatchObject({ code: "denied" });
      await expect(proxy.streamInfo("ASHLAR_TRUST")).rejects.toMatchObject({ code: "denied" });
      await expect(plane.createStream({ ...spec, name: "ASHLAR_OTHER" })).rejects.toMatchObject({ code: "denied" });
    });

    test("without a server requests fail at once, nothing is sent; afterwards subscriptions go on", async () => {
      const heard = plane.subscribe(heartbeatSubject("*", "*"));
      const changes: boolean[] = [];
      plane.onStatus(({ connected }) => changes.push(connected));
      await fixture.lose();
      await untilTrue(() => !plane.connected && !proxy.connected);
      await expect(plane.append(ingestSubject("trust", 3), bytes("x"))).rejects.toMatchObject({ code: "unavailable" });
      expect(proxy.publish(heartbeatSubject("payments", "p1"), bytes("lost"))).toBe(false);
      const given = plane.whenConnected(AbortSignal.timeout(1));
      await expect(given).rejects.toMatchObject({ code: "unavailable" });
      await fixture.restore();
      await Promise.all([plane.whenConnected(), proxy.whenConnected()]);
      await plane.flush();
      expect(proxy.publish(heartbeatSubject("payments", "p1"), bytes("again"))).toBe(true);
      expect(textOf(await next(heard))).toBe("again");
      expect(changes).toEqual([false, true]);
      expect(textOf(await plane.leaderGet("ASHLAR_TRUST", { sequence: 1 }))).toBe("t1");
      heard.close();
    });

    test("closing ends subscriptions and everything that waits", async () => {
      const heard = proxy.subscribe(readSubject("trust", "*"));
      const ended = next(heard).catch(() => "ended");
      await proxy.close();
      expect(await ended).toBe("ended");
      await expect(proxy.whenConnected()).rejects.toMatchObject({ code: "unavailable" });
      await expect(proxy.flush()).rejects.toMatchObject({ code: "unavailable" });
    });
  });
}

const spec = {
  name: "",
  subjects: ["other"],
  replicas: 1,
  discard: "new",
  discardNewPerSubject: false,
  maxMessagesPerSubject: undefined,
  maxBytes: undefined,
  maxMessageBytes: undefined,
  denyDelete: true,
  denyPurge: true,
  allowDirect: true,
  republish: undefined,
} as const;

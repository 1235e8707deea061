/** I9: what NATS itself refuses, on a real server. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { connect, jwtAuthenticator, type NatsConnection } from "nats";
import { bootstrapStreams, streamSpecs } from "../../control-plane/store/streams.js";
import {
  blobSubject,
  decisionStream,
  decisionSubject,
  endpointReadSubject,
  endpointSubject,
  freshnessSubject,
  heartbeatSubject,
  ingestSubject,
  prepareOrderSubject,
  proxyInbox,
  readSubject,
} from "../../core/wire/subjects.js";
import type { Bus, BusMessage, StreamSpec } from "../../runtime/bus.js";
import { allStreams, proxyPermissions } from "../../runtime/nats-permissions.js";
import { startTestNats, type TestNats, type TestUser } from "../support/nats.js";
import { natsPrograms } from "../support/nats-programs.js";
import { RawNats } from "../support/raw-nats.js";
import { untilTrue } from "../support/until.js";

/** Header blocks as a thief may store them; each but the first two is malformed. */
const blocks = [
  "",
  "NATS/1.0\r\nA: b\r\n\r\n",
  "NATS/1.0\r\nA: b\r\n",
  "NATS/1.0\r\nA: b",
  "NATS/1.0",
  "NATS/1.0\r\nA: b\nNats-Stream: X\r\n\r\n",
  "NATS/1.0\r\nA: b\rc\r\n\r\n",
  "NATS/1.0\r\n\x01: b\r\n\r\n",
  "NATS/9\r\nA: b\r\n\r\n",
  "xx", // one character ends nats-server 2.15.3 itself, where the stream that it is stored in republishes
];
const isWellFormed = (block: string): boolean => blocks.indexOf(block) < 2;

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
for (const { name: server, program } of natsPrograms)
  describe(`on ${server}`, () => {
    let nats: TestNats;
    let plane: Bus;
    let proxy: Bus;
    let planeUser: TestUser;
    let proxyUser: TestUser;
    const raws: NatsConnection[] = [];

    /** The plain client, which sends whatever it is told. */
    async function rawConnection(user: TestUser): Promise<NatsConnection> {
      const raw = await connect({
        servers: nats.url,
        authenticator: jwtAuthenticator(user.jwt, Buffer.from(user.seed)),
        inboxPrefix: user.inboxPrefix,
      });
      raws.push(raw);
      return raw;
    }

    beforeAll(async () => {
      nats = await startTestNats({ program });
      planeUser = await nats.controlPlaneUser();
      proxyUser = await nats.proxyUser("payments", "p1");
      plane = await nats.connect(planeUser);
      proxy = await nats.connect(proxyUser);
      await plane.append(ingestSubject("revisions", 1), bytes("one"));
    });
    afterAll(async () => {
      await Promise.all(raws.map((raw) => raw.close()));
      await nats.stop();
    });

    async function refusedApi(user: TestUser, subject: string, request: object): Promise<void> {
      const raw = await rawConnection(user);
      await expect(raw.request(subject, JSON.stringify(request), { timeout: 20_000 })).rejects.toMatchObject({
        code: "PERMISSIONS_VIOLATION",
      });
      await raw.close();
    }

    describe("the daily credential of a control plane", () => {
      for (const stream of allStreams) {
        test(`may not update, delete or purge ${stream}, nor delete its messages`, async () => {
          await refusedApi(planeUser, `$JS.API.STREAM.UPDATE.${stream}`, { name: stream, max_msgs: 1 });
          await refusedApi(planeUser, `$JS.API.STREAM.DELETE.${stream}`, {});
          await refusedApi(planeUser, `$JS.API.STREAM.PURGE.${stream}`, {});
          await refusedApi(planeUser, `$JS.API.STREAM.MSG.DELETE.${stream}`, { seq: 1 });
          await refusedApi(planeUser, `$JS.API.STREAM.CREATE.${stream}X`, { name: `${stream}X`, subjects: ["x"] });
        });
      }
      test("may not write what only proxies write, nor republished subjects", async () => {
        await expect(plane.append(endpointSubject("payments", "p1"), bytes("x"))).rejects.toMatchObject({
          code: "denied",
        });
        await expect(plane.append(readSubject("revisions", 1), bytes("x"))).rejects.toMatchObject({ code: "denied" });
      });
      test("may append, and read from the leader", async () => {
        expect((await plane.leaderGet("ASHLAR_REVISIONS", { sequence: 1 }))?.data).toEqual(bytes("one"));
        expect(await plane.leaderGet("ASHLAR_REVISIONS", { sequence: 99 })).toBeUndefined();
        expect(plane.publish(freshnessSubject, bytes("fresh"))).toBe(true);
        expect(plane.publish(prepareOrderSubject, bytes("order"))).toBe(true);
      });
    });

    describe("the bootstrap credential", () => {
      test("may not append, and a stream's deny_delete holds against it", async () => {
        const bus = await nats.connect(await nats.bootstrapUser());
        await expect(bus.append(ingestSubject("revisions", 2), bytes("x"))).rejects.toMatchObject({ code: "denied" });
        await bus.close();
      });
      test("a stream of endpoints of an earlier version is given its republishing, or made anew where that cannot be", async () => {
        const bus = await nats.connect(await nats.bootstrapUser());
        const spec = streamSpecs({ replicas: 1 }).find(({ name }) => name === "ASHLAR_ENDPOINTS") as StreamSpec;
        await bus.deleteStream(spec.name);
        await bus.createStream({ ...spec, republish: undefined });
        await bootstrapStreams(bus, { replicas: 1 });
        expect((await bus.streamInfo(spec.name))?.spec.republish).toEqual(spec.republish);
        const heard = proxy.subscribe(endpointReadSubject("payments", "*"));
        await proxy.flush();
        await proxy.append(endpointSubject("payments", "p1"), bytes("again"));
        for await (const message of heard) {
          expect(message.origin).toEqual({ stream: spec.name, subject: endpointSubject("payments", "p1") });
          break;
        }
        heard.close();
        await bus.close();
      });
      test("a stream of decisions of an earlier version is given its bounds, by its own size", async () => {
        const bus = await nats.connect(await nats.bootstrapUser());
        const before = await plane.streamInfo("ASHLAR_DECISIONS");
        const unbounded = { maxMessagesPerSubject: undefined, maxMessageBytes: undefined, maxBytes: 64 * 1024 * 1024 };
        await bus.updateStream({ ...(before?.spec as StreamSpec), ...unbounded });
        await bootstrapStreams(bus, { replicas: 1 });
        const { maxMessagesPerSubject, maxMessageBytes, maxBytes } =
          (await plane.streamInfo("ASHLAR_DECISIONS"))?.spec ?? {};
        expect([maxMessagesPerSubject, maxMessageBytes, maxBytes]).toEqual([512, 32 * 1024, 64 * 1024 * 1024]);
        await bus.close();
      });
      test("creating the streams again is harmless", async () => {
        const bus = await nats.connect(await nats.bootstrapUser());
        await Promise.all([bootstrapStreams(bus, { replicas: 1 }), bootstrapStreams(bus, { replicas: 1 })]);
        await bus.close();
      });
    });

    describe("a proxy's credential", () => {
      const own = endpointSubject("payments", "p1");
      for (const [name, subject] of [
        ["the revision log", ingestSubject("revisions", 2)],
        ["the activation log", ingestSubject("activations", 1)],
        ["the trust log", ingestSubject("trust", 1)],
        ["a blob", blobSubject("ab".repeat(32), 0)],
        ["the audit log", "ashlar.audit"],
        ["another proxy's endpoint", endpointSubject("payments", "p2")],
        ["its own id under another service", endpointSubject("orders", "p1")],
        ["another proxy's heartbeat", heartbeatSubject("payments", "p2")],
        ["another proxy's decisions", decisionSubject("payments", "p2")],
        ["its decisions under another service", decisionSubject("billing", "p1")],
        ["freshness", freshnessSubject],
        ["an order to prepare", prepareOrderSubject],
        ["a republished record", readSubject("activations", 1)],
      ] as const) {
        test(`may not write ${name}`, async () => {
          await expect(proxy.append(subject, bytes("x"))).rejects.toMatchObject({ code: "denied" });
        });
      }
      for (const [name, subject, request] of [
        ["create a consumer", "$JS.API.CONSUMER.CREATE.ASHLAR_REVISIONS", { config: { deliver_subject: own } }],
        ["create a durable", "$JS.API.CONSUMER.DURABLE.CREATE.ASHLAR_REVISIONS.d", {}],
        ["look at a stream", "$JS.API.STREAM.INFO.ASHLAR_REVISIONS", {}],
        ["read the audit log", "$JS.API.DIRECT.GET.ASHLAR_AUDIT", { seq: 1 }],
        ["delete a stream", "$JS.API.STREAM.DELETE.ASHLAR_REVISIONS", {}],
      ] as const) {
        test(`may not ${name}`, () => refusedApi(proxyUser, subject, request));
      }
      for (const subject of ["ashlar.log.>", "ashlar.audit", "_INBOX_p2.>", ">", "$SYS.>"]) {
        test(`may not subscribe to ${subject}`, async () => {
          const raw = await rawConnection(proxyUser);
          const failure = new Promise<unknown>((resolve) =>
            raw.subscribe(subject, { callback: (error) => resolve(error) }),
          );
          expect(await failure).toMatchObject({ code: "PERMISSIONS_VIOLATION" });
        });
      }
      test("may write its own endpoint and heartbeat, and read logs by direct get, wildcards included", async () => {
        await proxy.append(own, bytes("endpoint"));
        expect(proxy.publish(heartbeatSubject("payments", "p1"), bytes("beat"))).toBe(true);
        await proxy.flush();
        const query = { nextOf: readSubject("revisions", "*").replace("read", "log"), from: 1 };
        expect((await proxy.directGet("ASHLAR_REVISIONS", query))?.data).toEqual(bytes("one"));
        expect((await proxy.directGet("ASHLAR_ENDPOINTS", { lastOf: own }))?.data).toEqual(bytes("endpoint"));
        expect(await proxy.directGet("ASHLAR_REVISIONS", { sequence: 99 })).toBeUndefined();
      });
      test("may store its own decisions, and read nobody's", async () => {
        await proxy.append(decisionSubject("payments", "p1"), bytes("batch"));
        expect((await plane.directGet(decisionStream, { sequence: 1 }))?.storedMs).toBeGreaterThan(0);
        await refusedApi(proxyUser, `$JS.API.DIRECT.GET.${decisionStream}`, { seq: 1 });
      });

      test("hears what was committed, and not what lost the race", async () => {
        const heard = proxy.subscribe(readSubject("activations", "*"));
        await proxy.flush();
        const lost = plane.append(ingestSubject("activations", 1), bytes("loser"), { expectLastSequence: 7 });
        await expect(lost).rejects.toMatchObject({ code: "conflict" });
        await plane.append(ingestSubject("activations", 1), bytes("winner"), { expectLastSequence: 0 });
        for await (const message of heard) {
          expect(Buffer.from(message.data).toString()).toBe("winner");
          expect(message.subject).toBe(readSubject("activations", 1));
          break;
        }
        heard.close();
      });
    });

    test("where proxies and control planes share an account, the server's answers to others show as relayed", async () => {
      const own = endpointSubject("payments", "p1");
      const shared = await nats.user(proxyPermissions("payments", "p1"), proxyInbox("p1"));
      let raw = await RawNats.open(nats.url, shared);
      const heard = new Map<string, BusMessage>();
      const subscription = plane.subscribe(heartbeatSubject("payments", "*"));
      void (async () => {
        for await (const message of subscription) heard.set(message.subject, message);
      })();
      await plane.flush();
      for (const [count, block] of blocks.entries()) {
        const [victim, endpoint] = [
          heartbeatSubject("payments", `v${count}`),
          endpointSubject("payments", `v${count}`),
        ];
        raw.publish(own, block, `forged ${count}`);
        await raw.flush();
        if (raw.isClosed) {
          expect(isWellFormed(block)).toBe(false); // newer servers end the connection over some of these
          raw = await RawNats.open(nats.url, shared);
          continue;
        }
        const lastOf = async (subject: string) => plane.leaderGet("ASHLAR_ENDPOINTS", { lastOf: subject });
        await untilTrue(async () => Buffer.from((await lastOf(own))?.data ?? []).toString() === `forged ${count}`);
        expect([block, (await lastOf(own))?.relayed]).toEqual([block, !isWellFormed(block)]);
        for (const reply of [victim, endpoint]) {
          raw.publish("$JS.API.DIRECT.GET.ASHLAR_ENDPOINTS", "", JSON.stringify({ last_by_subj: own }), reply);
        }
        await raw.flush();
        if (isWellFormed(block)) {
          await untilTrue(async () => heard.has(victim) && (await lastOf(endpoint)) !== undefined);
        }
        const read = await plane.directGet("ASHLAR_ENDPOINTS", { lastOf: endpoint }).catch(() => undefined);
        expect(read?.relayed ?? true).toBe(true); // or nobody can tell what it is
        expect((await lastOf(endpoint))?.relayed ?? true).toBe(true);
      }
      await plane.flush(); // no block has ended the reader's connection
      for (const message of heard.values()) expect([message.subject, message.relayed]).toEqual([message.subject, true]);
      subscription.close();
      raw.close();
    });

    describe("write-once blobs", () => {
      test("a second write of a chunk is refused and the first stays", async () => {
        const subject = blobSubject("cd".repeat(32), 0);
        await plane.append(subject, bytes("first"));
        await expect(plane.append(subject, bytes("second"))).rejects.toMatchObject({ code: "exists" });
        expect((await plane.leaderGet("ASHLAR_BLOBS", { lastOf: subject }))?.data).toEqual(bytes("first"));
      });
    });

    test("a user whose JWT has expired is disconnected and refused", async () => {
      const user = await nats.user({ publish: ["x"], subscribe: ["_INBOX_x.>"] }, "_INBOX_x", {
        expiresMs: Date.now() + 5000,
      });
      const bus = await nats.connect(user);
      await untilTrue(() => !bus.connected, 20_000);
      expect(bus.publish("x", bytes("x"))).toBe(false);
      await bus.close();
    });

    test("a client without credentials is refused", async () => {
      await expect(connect({ servers: nats.url, maxReconnectAttempts: 0 })).rejects.toMatchObject({
        code: "AUTHORIZATION_VIOLATION",
      });
    });
  });

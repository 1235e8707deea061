/** What the credential of one proxy is good for in the hands of a thief, against real servers (I9). */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { connect, jwtAuthenticator, type NatsConnection } from "nats";
import {
  blobSubject,
  decisionSubject,
  endpointReadSubject,
  endpointSubject,
  heartbeatSubject,
  ingestSubject,
  readSubject,
} from "../../../core/wire/subjects.js";
import type { Bus, BusMessage } from "../../../runtime/bus.js";
import { allStreams, proxyLimits } from "../../../runtime/nats-permissions.js";
import { startTestNats, type TestNats, type TestUser } from "../../support/nats.js";
import { natsPrograms } from "../../support/nats-programs.js";
import { RawNats } from "../../support/raw-nats.js";
import { untilTrue } from "../../support/until.js";

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
const everything = { publish: [">"], subscribe: [">"] };
const own = endpointSubject("payments", "p1");
const direct = "$JS.API.DIRECT.GET.ASHLAR_ENDPOINTS";
const sealed = JSON.stringify({ name: "ASHLAR_ACTIVATIONS", subjects: ["ashlar.log.activations.*"], sealed: true });
const consumer = JSON.stringify({ stream_name: "ASHLAR_AUDIT", config: { deliver_subject: "ashlar.read.x" } });

/** Where an answer does harm, and what has to stand in it. */
const replies: readonly (readonly [where: string, body: string])[] = [
  ...allStreams.flatMap((stream): [string, string][] => [
    [`$JS.API.STREAM.DELETE.${stream}`, ""],
    [`$JS.API.STREAM.PURGE.${stream}`, ""],
    [`$JS.API.STREAM.MSG.DELETE.${stream}`, JSON.stringify({ seq: 1 })],
  ]),
  ["$JS.API.STREAM.UPDATE.ASHLAR_ACTIVATIONS", sealed],
  ["$JS.API.CONSUMER.CREATE.ASHLAR_AUDIT", consumer],
  ["$JS.API.CONSUMER.DURABLE.CREATE.ASHLAR_AUDIT.d", consumer],
  [ingestSubject("revisions", 9), "forged"],
  [ingestSubject("activations", 9), "forged"],
  [ingestSubject("trust", 9), "forged"],
  [blobSubject("ab".repeat(32), 0), "forged"],
  ["ashlar.audit", "forged"],
  [endpointSubject("payments", "p2"), "forged"],
  [decisionSubject("payments", "p2"), "forged"],
];

for (const { name, program } of natsPrograms) {
  describe(`a stolen credential on ${name}`, () => {
    let nats: TestNats;
    let plane: Bus;
    let victim: Bus;
    let owner: NatsConnection;
    let thief: TestUser;
    let raw: RawNats;
    const opened: NatsConnection[] = [];

    const open = async ({ jwt, seed, inboxPrefix }: TestUser): Promise<NatsConnection> => {
      const authenticator = jwtAuthenticator(jwt, Buffer.from(seed));
      const connection = await connect({ servers: nats.url, authenticator, inboxPrefix, reconnect: false });
      opened.push(connection);
      return connection;
    };

    /** Each stream as its server has it: configuration, number of messages, consumers. */
    async function lookAtStreams(): Promise<object> {
      const streams: Record<string, object> = {};
      for (const stream of allStreams) {
        const { config, state, error } = (await owner.request(`$JS.API.STREAM.INFO.${stream}`)).json<{
          config: object;
          state: Record<string, number>;
          error?: object;
        }>();
        // the thief's own endpoint is the one thing that it may write
        const last = stream === "ASHLAR_ENDPOINTS" ? 0 : state?.last_seq;
        streams[stream] = { config, error, messages: state?.messages, last, consumers: state?.consumer_count };
      }
      return streams;
    }

    beforeAll(async () => {
      nats = await startTestNats({ program });
      plane = await nats.connect(await nats.controlPlaneUser());
      victim = await nats.connect(await nats.proxyUser("payments", "p2"));
      thief = await nats.proxyUser("payments", "p1");
      raw = await RawNats.open(nats.url, thief);
      owner = await open(await nats.user(everything, "_INBOX_owner"));
      for (const log of ["revisions", "activations", "trust"] as const)
        await plane.append(ingestSubject(log, 1), bytes("one"));
      await plane.append(blobSubject("cd".repeat(32), 0), bytes("unit"));
      await plane.append("ashlar.audit", bytes("secret"));
      await victim.append(decisionSubject("payments", "p2"), bytes("secret"));
      await victim.append(endpointSubject("payments", "p2"), bytes("honest"));
      raw.publish(own, "", "honest");
      await raw.flush();
    });
    afterAll(async () => {
      raw?.close();
      for (const one of opened) await one.close();
      await nats?.stop();
    });

    test("a reply subject of its own choice reaches nothing of the mesh's account, for direct gets and appends", async () => {
      const before = await lookAtStreams();
      for (const [reply, body] of replies) {
        raw.publish(own, "", body);
        raw.publish(own, "", body, reply);
        raw.publish(direct, "", JSON.stringify({ last_by_subj: own }), reply);
        raw.publish(decisionSubject("payments", "p1"), "", body, reply);
        await raw.flush();
        await owner.flush();
      }
      // the thief's own decisions are stored (newer servers take none with such a reply), and nothing else has changed
      await untilTrue(async () => ((await plane.streamInfo("ASHLAR_DECISIONS"))?.messages ?? 0) > 1);
      const after = (await lookAtStreams()) as Record<string, object>;
      expect({ ...after, ASHLAR_DECISIONS: undefined }).toEqual({ ...before, ASHLAR_DECISIONS: undefined });
      const stored = await plane.directGet("ASHLAR_ENDPOINTS", { lastOf: endpointSubject("payments", "p2") });
      expect(Buffer.from(stored?.data ?? []).toString()).toBe("honest");
    });

    test("even with every permission inside the proxies' account, nothing of the mesh's account answers or changes", async () => {
      const all = await open(await nats.user(everything, "_INBOX_p1", { account: "proxies" }));
      const heard: string[] = [];
      all.subscribe(">", { callback: (_error, { subject }) => void heard.push(subject) });
      await all.flush();
      const before = await lookAtStreams();
      for (const [subject, body] of replies.slice(0, -2)) {
        const answer = await all.request(subject, body, { timeout: 300 }).catch(() => undefined);
        // every account has an API that says that it has no JetStream
        if (answer !== undefined) expect(answer.json()).toMatchObject({ error: { err_code: 10039 } });
      }
      await plane.append("ashlar.audit", bytes("more"));
      await plane.append(ingestSubject("revisions", 2), bytes("two"), { expectLastSequence: 1 });
      await untilTrue(() => heard.includes(readSubject("revisions", 2)));
      // heard of the mesh's account: what was committed, and not what is written there
      const foreign = heard.filter((subject) => !subject.startsWith("$JS.") && !subject.startsWith("_INBOX_p1"));
      expect(foreign.filter((subject) => subject === "ashlar.audit").length).toBeLessThanOrEqual(1); // its own try
      expect(foreign).not.toContain(ingestSubject("revisions", 2));
      const after = (await lookAtStreams()) as Record<string, { messages: number }>;
      expect(after.ASHLAR_ACTIVATIONS).toEqual((before as typeof after).ASHLAR_ACTIVATIONS);
      expect(after.ASHLAR_REVISIONS?.messages).toBe(2);
    });

    test("what it points at others' subscriptions comes without the word of the stream that they read", async () => {
      const got: BusMessage[] = [];
      const readers = [
        readSubject("activations", "*"),
        endpointReadSubject("payments", "*"),
        heartbeatSubject("*", "*"),
      ];
      for (const subject of readers) {
        const messages = victim.subscribe(subject);
        void (async () => {
          for await (const message of messages) got.push(message);
        })();
      }
      await victim.flush();
      raw.publish(own, "", "forged");
      await raw.flush();
      const targets = [
        readSubject("activations", 7),
        endpointReadSubject("payments", "p2"),
        heartbeatSubject("payments", "p2"),
      ];
      for (const reply of targets) raw.publish(direct, "", JSON.stringify({ last_by_subj: own }), reply);
      await raw.flush();
      await untilTrue(() => targets.every((target) => got.some(({ subject }) => subject === target)));
      for (const message of got.filter(({ subject }) => targets.includes(subject))) {
        expect(message.relayed).toBe(true);
        expect(message.origin).toEqual({ stream: "ASHLAR_ENDPOINTS", subject: own });
      }
    });

    test("its decisions push out its own: a quarter of what is kept is the most that one proxy holds", async () => {
      const stream = (await plane.streamInfo("ASHLAR_DECISIONS"))?.spec;
      const [messages = 0, size = 0] = [stream?.maxMessagesPerSubject, stream?.maxMessageBytes];
      expect((messages * size) / (stream?.maxBytes ?? 0)).toBe(1 / 4);
      for (let index = 0; index < messages + 50; index += 1)
        raw.publish(decisionSubject("payments", "p1"), "", `batch ${index}`);
      await raw.flush();
      raw.publish(decisionSubject("payments", "p1"), "", "x".repeat(size + 1));
      raw.publish(decisionSubject("payments", "p1"), "", "the last");
      await raw.flush();
      const last = () => plane.directGet("ASHLAR_DECISIONS", { lastOf: decisionSubject("payments", "p1") });
      await untilTrue(async () => Buffer.from((await last())?.data ?? []).toString() === "the last");
      const honest = await plane.directGet("ASHLAR_DECISIONS", { lastOf: decisionSubject("payments", "p2") });
      expect(Buffer.from(honest?.data ?? []).toString()).toBe("secret");
      expect((await plane.streamInfo("ASHLAR_DECISIONS"))?.messages).toBe(messages + 1);
    });

    test("a header block of any form ends no server and no reader's connection", async () => {
      const heard = victim.subscribe(endpointReadSubject("payments", "p1"));
      await victim.flush();
      for (const [count, block] of ["x", "xx", "NATS/1.0", "NATS/1.0\r\nA: b\nc\r\n\r\n"].entries()) {
        const client = await RawNats.open(nats.url, thief);
        client.publish(own, block, `block ${count}`);
        await client.flush();
        client.close();
        const read = () => victim.directGet("ASHLAR_ENDPOINTS", { lastOf: own }).catch(() => undefined);
        await untilTrue(async () => (await plane.leaderGet("ASHLAR_ENDPOINTS", { lastOf: own })) !== undefined);
        await read();
      }
      await victim.append(endpointSubject("payments", "p2"), bytes("honest"));
      expect([victim.connected, plane.connected]).toEqual([true, true]);
      heard.close();
    });

    test("it gets no more subscriptions than an honest proxy needs, and no longer messages", async () => {
      const many = await RawNats.open(nats.url, thief);
      let refused = 0;
      for (let sid = 1; sid <= 20_000; sid += 1000) {
        for (let i = 0; i < 1000; i += 1) many.write(`SUB ashlar.read.x.${sid + i} ${sid + i}\r\n`);
        await many.flush();
        refused += many.heard("-ERR 'maximum subscriptions exceeded'");
      }
      expect(20_000 - refused).toBe(proxyLimits.subscriptions);
      many.close();
      const long = await RawNats.open(nats.url, thief);
      long.publish(own, "", "x".repeat(proxyLimits.payloadBytes + 1));
      await long.flush();
      await untilTrue(() => long.isClosed);
      const fits = await RawNats.open(nats.url, thief);
      fits.publish(own, "", "x".repeat(proxyLimits.payloadBytes));
      await fits.flush();
      expect(fits.isClosed).toBe(false);
      fits.close();
      expect(raw.isClosed).toBe(false); // those were connections of their own
      await plane.flush();
    });
  });
}

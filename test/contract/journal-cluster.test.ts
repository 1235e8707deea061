/** A journal of three replicas on real servers, which lose their leader, then their majority, and come back. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Metadata, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { JournalLog } from "../../core/journal/journal-log.js";
import { parseEntry } from "../../core/wire/journal/entry.js";
import { parseOutcome } from "../../core/wire/journal/outcome.js";
import { journalStream, parseJournalSubject } from "../../core/wire/subjects.js";
import type { Bus, SystemBus } from "../../runtime/bus.js";
import { JournalNats } from "../support/journal-nats.js";
import { natsPrograms } from "../support/nats-programs.js";
import { buildPolicy, everyone } from "../support/proxy-fakes.js";
import { ProxyPair } from "../support/proxy-pair.js";
import { until } from "../support/until.js";

const journal = {
  methods: ["test.Bytes/Unary"],
  mode: "before",
  response: "bytes",
  idempotencyKey: 'request.headers["idempotency-key"]',
  orderBy: 'request.headers["x-account"]',
} as const;
const waitMs = 90_000;

describe.each(natsPrograms)("$name", ({ program }) => {
  let nats: JournalNats;
  let pair: ProxyPair;
  const applied: string[] = [];
  const stopped: number[] = [];

  beforeAll(async () => {
    nats = await JournalNats.start("bytes", program, undefined, true, true);
    pair = await ProxyPair.start({
      Unary(call, done) {
        applied.push(call.request.toString());
        done(null, Buffer.from(`applied ${call.request}`));
      },
      ServerStream(call) {
        call.write(Buffer.from("read"));
        call.end();
      },
    });
    pair.callee.policy.switchTo(buildPolicy(2, [{ service: "bytes", allow: [everyone], journal }]));
    pair.callee.journal = nats.open(pair.callee.policy, "p1");
  }, 180_000);

  afterAll(async () => {
    for (const pid of stopped) process.kill(pid, "SIGCONT");
    pair?.stop();
    await nats?.stop();
  }, 60_000);

  function write(key: string, deadlineMs = 15_000) {
    const metadata = new Metadata();
    metadata.set("idempotency-key", key);
    metadata.set("x-account", "a");
    return pair.client().unary(Buffer.from(key), metadata, { deadline: Date.now() + deadlineMs });
  }

  /** Asks again under the same key until it is answered. */
  async function writeUntilApplied(key: string): Promise<void> {
    let last = "";
    const isApplied = async (): Promise<boolean> => {
      const { error } = await write(key);
      last = error?.message ?? "";
      return error === undefined;
    };
    await until(`${key} is applied`, isApplied, waitMs, () => last);
  }

  /** The server that leads the journal's stream, by its place in the cluster; -1: none does now. */
  async function leader(): Promise<number> {
    const subject = `$JS.API.STREAM.INFO.${journalStream("bytes")}`;
    const answer = await (nats.bus as Bus & Pick<SystemBus, "ask">).ask(subject, "").catch(() => undefined);
    const told = answer === undefined ? {} : JSON.parse(Buffer.from(answer.data).toString());
    const { nats: test } = nats;
    const names = test.servers.map(
      (_, at) => JSON.parse(readFileSync(join(test.dir, `n${at}`, "process.json"), "utf8")).nonce,
    );
    return names.indexOf((told as { cluster?: { leader?: string } }).cluster?.leader ?? "");
  }

  test("a leader that is killed: writes that are asked for again go on, each once, in order", async () => {
    for (const key of ["k1", "k2"]) await writeUntilApplied(key);
    await until("the journal has a leader", async () => (await leader()) >= 0, waitMs);
    const first = await leader();
    process.kill(nats.nats.servers[first]?.pid ?? 0, "SIGKILL");
    for (const key of ["k3", "k4", "k5"]) await writeUntilApplied(key);
    expect(applied).toEqual(["k1", "k2", "k3", "k4", "k5"]);
  }, 300_000);

  test("without a majority writes are answered 14 and the application sees nothing; reads go on; then all goes on", async () => {
    const alone = await nats.connectTo(0);
    pair.callee.journal = nats.open(pair.callee.policy, "p1", alone);
    await writeUntilApplied("k6");
    for (const server of nats.nats.servers.slice(1)) {
      await until("the server runs", () => server.pid !== undefined, waitMs);
      stopped.push(server.pid ?? 0);
      process.kill(server.pid ?? 0, "SIGSTOP");
    }
    const lost = await write("k7");
    expect(lost.error).toMatchObject({ code: status.UNAVAILABLE });
    const read: string[] = [];
    for await (const part of pair.client().serverStream(Buffer.from("?"))) read.push(String(part));
    expect(read).toEqual(["read"]);
    expect(applied.at(-1)).toBe("k6");
    for (const pid of stopped.splice(0)) process.kill(pid, "SIGCONT");
    for (const key of ["k7", "k8"]) await writeUntilApplied(key);
    expect(applied).toEqual(["k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8"]);
    // Each reading may come from another server, and one that was stopped may not have the last outcome yet.
    let whole: ReadonlyMap<string, number> = new Map();
    const isWhole = async (): Promise<boolean> => {
      whole = await answers();
      return whole.size >= 8;
    };
    await until("each key is answered in the log", isWhole, waitMs);
    expect(Object.fromEntries(whole)).toEqual({ k1: 1, k2: 1, k3: 1, k4: 1, k5: 1, k6: 1, k7: 1, k8: 1 });
  }, 300_000);

  /** The number of valid entries with an outcome of the application, by key. */
  async function answers(): Promise<ReadonlyMap<string, number>> {
    const log = new JournalLog();
    const keys = new Map<number, string>();
    const answered = new Map<string, number>();
    for (const { subject, sequence, data } of await nats.stored()) {
      const place = parseJournalSubject(subject);
      if (place?.kind === "entry") {
        const { expected, key } = parseEntry(data, undefined, place.key);
        log.addEntry({ sequence, key: place.key, isOrdered: true, expected, hasOutcome: false });
        keys.set(sequence, key);
      } else if (place?.kind === "outcome") {
        const { entry, notForwarded } = parseOutcome(data, undefined);
        const key = keys.get(entry) ?? "";
        if (log.addOutcome({ sequence, entry }) !== undefined && !notForwarded)
          answered.set(key, (answered.get(key) ?? 0) + 1);
      }
    }
    return answered;
  }
});

import { randomBytes } from "node:crypto";
import { cp, mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "@jest/globals";
import { type AuditLog, openAuditLog } from "../../../control-plane/audit/audit-log.js";
import type { AuditDraft } from "../../../control-plane/audit/audit-trail.js";
import { bootstrapStreams } from "../../../control-plane/store/streams.js";
import { AshlarError } from "../../../core/errors.js";
import { encodeAuditEntry } from "../../../core/wire/audit.js";
import type { Bus } from "../../../runtime/bus.js";
import { silentLogger } from "../../../runtime/log.js";
import { startTestNats, type TestNats } from "../../support/nats.js";
import { untilTrue } from "../../support/until.js";

let nats: TestNats;
const random = (count: number): Uint8Array => randomBytes(count);
const logs: AuditLog[] = [];
let opened = 0;
const everything = { sinceMs: 0, limit: 10_000 };
const draft = (detail: string): AuditDraft => ({
  actor: "spiffe://test.mesh/operator/alice",
  source: "127.0.0.1",
  action: "publish",
  target: "revision 1",
  outcome: "ok",
  detail,
});

/** A bus that is away when it is told to be. */
class DepartingBus {
  readonly bus: Bus;
  #isAway = false;

  constructor(bus: Bus) {
    const gone = () => Promise.reject(new AshlarError("unavailable", "away"));
    this.bus = new Proxy(bus, {
      get: (target, name) => {
        if (name === "connected") return target.connected && !this.#isAway;
        const value: unknown = Reflect.get(target, name);
        return typeof value !== "function" ? value : this.#isAway ? gone : value.bind(target);
      },
    });
  }
  leave(): void {
    this.#isAway = true;
  }
  comeBack(): void {
    this.#isAway = false;
  }
}
async function open(dir?: string): Promise<AuditLog> {
  opened += 1;
  const bus = await nats.connect(await nats.controlPlaneUser(`audit${opened}`));
  const own = dir ?? (await mkdtemp(join(nats.dir, "audit-")));
  const log = await openAuditLog({ bus, dir: own, log: silentLogger, random });
  logs.push(log);
  return log;
}
async function details(log: AuditLog): Promise<string[]> {
  return (await log.list(everything)).entries.map((entry) => entry.detail);
}
async function remakeStream(): Promise<void> {
  const subject = "$JS.API.STREAM.DELETE.ASHLAR_AUDIT";
  const god = await nats.connect(await nats.user({ publish: [subject], subscribe: ["_INBOX_g.>"] }, "_INBOX_g"));
  await god.append(subject, new Uint8Array()).catch(() => {});
  const bus = await nats.connect(await nats.bootstrapUser());
  await bootstrapStreams(bus, { replicas: 1 });
}
afterEach(async () => {
  for (const log of logs.splice(0)) await log.close();
  await nats.stop();
});

describe("the audit log", () => {
  test("entries of several control planes form one chain, whoever writes at the same time", async () => {
    nats = await startTestNats();
    const [one, two] = [await open(), await open()];
    await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? one : two).record(draft(`entry ${i}`))));
    await untilTrue(async () => (await details(one)).length === 20); // places are given behind the answer
    const list = await one.list(everything);
    expect(list.entries.map((entry) => entry.sequence)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    expect(list.chainHolds).toBe(true);
    expect(new Set(list.entries.map((entry) => entry.detail)).size).toBe(20);
    expect((await one.list({ sinceMs: 0, limit: 3 })).entries.map((entry) => entry.sequence)).toEqual([18, 19, 20]);
    expect((await one.list({ sinceMs: Date.now() + 60_000, limit: 3 })).entries).toEqual([]);
    expect(one.problems()).toEqual([]);
  });

  test("it survives restarts, and a lost stream is filled again from the own copy", async () => {
    nats = await startTestNats();
    const dir = await mkdtemp(join(nats.dir, "audit-"));
    const first = await open(dir);
    for (const detail of ["a", "b", "c"]) await first.record(draft(detail));
    await first.close();
    logs.length = 0;
    const second = await open(dir);
    expect(await details(second)).toEqual(["a", "b", "c"]);
    await second.close();
    logs.length = 0;
    await remakeStream();
    const third = await open(dir);
    await third.record(draft("d"));
    const other = await open();
    await untilTrue(async () => (await details(other)).length === 4);
    expect(await details(other)).toEqual(["a", "b", "c", "d"]);
    expect((await other.list(everything)).chainHolds).toBe(true);
    expect(await details(third)).toEqual(["a", "b", "c", "d"]);
  });

  test("the chain holds at every start after a stream was lost", async () => {
    nats = await startTestNats();
    const dir = await mkdtemp(join(nats.dir, "audit-"));
    const first = await open(dir);
    for (const detail of ["a", "b", "c"]) await first.record(draft(detail));
    await first.close();
    await remakeStream();
    const second = await open(dir);
    await second.record(draft("d"));
    await second.close();
    for (let start = 0; start < 2; start += 1) {
      const again = await open(dir);
      expect(await details(again)).toEqual(["a", "b", "c", "d"]);
      expect((await again.list(everything)).chainHolds).toBe(true);
      await again.close();
    }
  });

  test("killed while it fills a lost stream again, it fills it to the end at the next start", async () => {
    nats = await startTestNats();
    const dir = await mkdtemp(join(nats.dir, "audit-"));
    const first = await open(dir);
    for (const detail of ["a", "b", "c"]) await first.record(draft(detail));
    await first.close();
    await remakeStream();
    const bus = await nats.connect(await nats.controlPlaneUser("killed"));
    const dying = new DepartingBus(bus);
    let appended = 0;
    const oneOnly = new Proxy(dying.bus, {
      get: (target, name) => {
        if (name === "append" && appended++ > 0) dying.leave();
        return Reflect.get(target, name);
      },
    });
    logs.push(await openAuditLog({ bus: oneOnly, dir, log: silentLogger, random }));
    const again = await open(dir);
    expect(await details(again)).toEqual(["a", "b", "c"]);
    const other = await open();
    expect(await details(other)).toEqual(["a", "b", "c"]);
    expect((await other.list(everything)).chainHolds).toBe(true);
  });

  test("an entry that does not follow shows", async () => {
    nats = await startTestNats();
    const log = await open();
    await log.record(draft("a"));
    const bus = await nats.connect(await nats.controlPlaneUser("forger"));
    await bus.append(
      "ashlar.audit",
      encodeAuditEntry({ ...draft("forged"), sequence: 1, previous: undefined, timeMs: 5, id: "" }),
    );
    expect((await log.list(everything)).chainHolds).toBe(false);
  });

  test("recording while NATS is away neither fails nor loses", async () => {
    nats = await startTestNats();
    const log = await open();
    await log.record(draft("before"));
    process.kill(nats.servers[0]?.pid ?? 0, "SIGKILL");
    await Promise.all(["x", "y"].map((detail) => log.record(draft(detail))));
    await untilTrue(async () => (await details(log)).length === 3);
    expect(await details(log)).toEqual(["before", "x", "y"]);
    await untilTrue(() => log.problems().length === 0);
  });

  test("an entry that was recorded while NATS was away has its place, once, after kill -9 and a start", async () => {
    nats = await startTestNats();
    const dir = await mkdtemp(join(nats.dir, "audit-"));
    const away = new DepartingBus(await nats.connect(await nats.controlPlaneUser("away")));
    const killed = await openAuditLog({ bus: away.bus, dir, log: silentLogger, random });
    logs.push(killed);
    await killed.record(draft("placed"));
    expect(await details(killed)).toEqual(["placed"]);
    away.leave();
    await Promise.all(Array.from({ length: 50 }, (_, i) => killed.record(draft(`waits ${i}`))));
    const copy = await mkdtemp(join(nats.dir, "audit-copy-"));
    await cp(dir, copy, { recursive: true }); // what the disk has at kill -9
    const other = await open();
    await other.record(draft("of another"));
    const restarted = await open(copy);
    const all = Array.from({ length: 50 }, (_, i) => `waits ${i}`);
    await untilTrue(async () => (await details(restarted)).length === 52);
    expect(await details(restarted)).toEqual(["placed", "of another", ...all]);
    away.comeBack(); // the first one had not been killed after all: the same entries are not placed again
    await untilTrue(async () => (await details(killed)).length === 52);
    await killed.record(draft("last"));
    expect(await details(killed)).toHaveLength(53);
    const list = await other.list(everything);
    expect(list.entries.map((entry) => entry.detail)).toEqual(["placed", "of another", ...all, "last"]);
    expect(list.chainHolds).toBe(true);
  });
});

/** A private NATS whose disk fills up while it stores, and what it takes to have it store again. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { afterEach, expect, test } from "@jest/globals";
import { watchDisk } from "../../../control-plane/nats/disk-watch.js";
import { openNatsAccess } from "../../../control-plane/nats/nats-access.js";
import { startNatsServer } from "../../../control-plane/nats/nats-server.js";
import { freeBytesOf } from "../../../control-plane/nats/stream-room.js";
import { boundsDefault } from "../../../control-plane/store/streams.js";
import { auditStream, auditSubject, decisionStream } from "../../../core/wire/subjects.js";
import { type Clock, systemClock } from "../../../runtime/clock.js";
import { silentLogger } from "../../../runtime/log.js";
import { natsPrograms } from "../../support/nats-programs.js";
import { mountDisk, resizeDisk, unmountDisks, whyNoDisk } from "../../support/small-disk.js";
import { until } from "../../support/until.js";

const mebibyte = 1024 * 1024;
const cleanup: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const each of cleanup.splice(0).reverse()) await each();
  unmountDisks();
});

/** The watch looks every 5 s and restarts once a minute at most; here ten times as often, since nothing else has this clock. */
const hurried: Clock = {
  ...systemClock,
  monotonicMs: () => systemClock.monotonicMs() * 10,
  sleep: (ms, signal) => systemClock.sleep(ms / 10, signal),
};

async function start(dir: string, program: string) {
  const base = { clock: systemClock, log: silentLogger };
  const server = await startNatsServer({ ...base, dir, program });
  cleanup.push(() => server.stop());
  const random = (count: number): Uint8Array => new Uint8Array(randomBytes(count));
  const place = { servers: [server.url], accounts: server.accounts, isCluster: false, storeDir: dir };
  const access = await openNatsAccess({ ...base, ...place, random });
  cleanup.push(() => access.close());
  const life = new AbortController();
  await access.bootstrap(life.signal);
  await access.bus.whenConnected(life.signal);
  const watch = watchDisk({
    ...base,
    clock: hurried,
    dir,
    logFile: server.logFile,
    bus: access.bus,
    freeBytes: () => freeBytesOf(dir),
    restart: () => server.restart(),
    fitStreams: () => access.fitStreams(life.signal),
  });
  cleanup.push(async () => {
    life.abort();
    await watch.close();
  });
  return { bus: access.bus, watch, server };
}

const skipped = whyNoDisk();
if (skipped !== undefined) test(`full disks are not tried here: ${skipped}`, () => expect(whyNoDisk()).toBe(skipped));
else
  for (const { name, program } of natsPrograms) {
    test(`${name}: what was acknowledged is there, it is told meanwhile, and it stores again once there is room`, async () => {
      const disk = mountDisk(32);
      const { bus, watch, server } = await start(join(disk, "nats"), program);
      const before = server.pid;
      const entry = new Uint8Array(100_000).fill(7);
      let stored = 0;
      // to a stream that has no bound, as logs and units have none
      await until(
        "the disk is full",
        async () => {
          const done = await bus.append(`ashlar.blob.x.${stored}`, entry).then(
            () => true,
            () => false,
          );
          if (done) stored += 1;
          return !done;
        },
        120_000,
      );
      expect(stored).toBeGreaterThan(100);
      await until("it is told", () => watch.problems().some((line) => /started again by itself/.test(line)), 40_000);
      resizeDisk(disk, 96);
      await until("it is started again", () => server.pid !== undefined && server.pid !== before, 90_000);
      await until(
        "the same stream stores again",
        () =>
          bus.append("ashlar.blob.y.1", entry).then(
            () => true,
            () => false,
          ),
        90_000,
      );
      expect((await bus.streamInfo("ASHLAR_BLOBS"))?.messages).toBeGreaterThanOrEqual(stored);
      await until("nothing is told", () => watch.problems().length === 0, 30_000);
    }, 300_000);

    test(`${name}: bounds follow the disk, in both directions, and no message goes`, async () => {
      const disk = mountDisk(40);
      const { bus } = await start(join(disk, "nats"), program);
      const boundOf = async (stream: string) => (await bus.streamInfo(stream))?.spec.maxBytes ?? 0;
      const small = await boundOf(decisionStream);
      expect(small).toBeLessThan(16 * mebibyte);
      resizeDisk(disk, 8192);
      await until(
        "it is as large as on any disk",
        async () => (await boundOf(decisionStream)) === boundsDefault.decisions,
        30_000,
      );
      await until("so is that of the audit log", async () => (await boundOf(auditStream)) === boundsDefault.audit);
      for (let entry = 0; entry < 90; entry += 1) await bus.append(auditSubject, new Uint8Array(100_000));
      resizeDisk(disk, 40);
      await until("it is small again", async () => (await boundOf(decisionStream)) < 16 * mebibyte, 30_000);
      expect((await bus.streamInfo(auditStream))?.messages).toBe(90);
      expect(await boundOf(auditStream)).toBeGreaterThan(90 * 100_000);
      await bus.append(auditSubject, new Uint8Array(100_000)); // there is still room for entries
    }, 120_000);
  }

/** `ashlar up` on small disks, and on one that fills up and has room again: tmpfs mounts, where this user may mount. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "@jest/globals";
import { openAdminClient } from "../../cli/client.js";
import { readContext } from "../../cli/context.js";
import { startUp } from "../support/control-plane-process.js";
import { cliPath, run, type TestProcess } from "../support/processes.js";
import { mountDisk, unmountDisks, whyNoDisk } from "../support/small-disk.js";
import { until } from "../support/until.js";

let up: TestProcess | undefined;

afterEach(async () => {
  await up?.stop();
  up = undefined;
  unmountDisks();
});

const skipped = whyNoDisk();
const onDisk = skipped === undefined ? test : (): void => {};
if (skipped !== undefined) test(`small disks are not tried here: ${skipped}`, () => expect(whyNoDisk()).toBe(skipped));
const freeOf = (dir: string): number => statfsSync(dir).bavail * statfsSync(dir).bsize;

/** By the files of the server. */
function boundsOf(dir: string): Record<string, number> {
  const store = join(dir, "up", "nats", "jetstream");
  const files = readdirSync(store, { recursive: true, encoding: "utf8" }).filter((name) =>
    /ASHLAR_\w+\/meta\.inf$/.test(name),
  );
  const streams = files.map(
    (name) => JSON.parse(readFileSync(join(store, name), "utf8")) as { name: string; max_bytes: number },
  );
  return Object.fromEntries(streams.filter((one) => one.max_bytes > 0).map((one) => [one.name, one.max_bytes]));
}

async function begin(dir: string): Promise<void> {
  up = startUp(join(dir, "up"));
  await up.said("ready");
}

const cli = (dir: string, ...args: string[]) =>
  run(process.execPath, [cliPath, ...args], { env: { ASHLAR_CONTEXT: join(dir, "up", "admin.json") } });

async function apply(dir: string, name: string) {
  const files = mkdtempSync(join(tmpdir(), "ash-policy-"));
  const file = join(files, "policy.yaml");
  writeFileSync(file, `kind: Service\nname: ${name}\n`);
  const done = await cli(dir, "apply", "-f", file, "--yes");
  rmSync(files, { recursive: true });
  return done;
}

/** Takes all that is left of a disk; returns the way to give it back. */
function fill(dir: string): () => void {
  const file = join(dir, "others");
  mkdirSync(file);
  for (const [index, size] of [1024 * 1024, 64 * 1024, 4096].entries())
    try {
      for (let part = 0; ; part += 1) writeFileSync(join(file, `${index}-${part}`), Buffer.alloc(size));
    } catch {
      // it is full
    }
  return () => rmSync(file, { recursive: true });
}

for (const size of [64, 400])
  onDisk(
    `a mesh begins with ${size} MiB, starts again, and bounded streams leave the logs their part`,
    async () => {
      const dir = mountDisk(size);
      await begin(dir);
      expect((await apply(dir, "one")).code).toBe(0);
      const bounds = boundsOf(dir);
      expect(Object.keys(bounds)).toHaveLength(3);
      const sum = Object.values(bounds).reduce((all, each) => all + each, 0);
      expect(sum).toBeLessThan((size - 16) * 1024 * 1024);
      await up?.stop();
      await begin(dir);
      expect((await apply(dir, "two")).code).toBe(0);
      expect(JSON.parse((await cli(dir, "status", "-o", "json")).stdout)).toMatchObject({ healthy: true, revision: 2 });
    },
    120_000,
  );

onDisk(
  "with 20 MiB a mesh does not begin, and says how much is needed, and where",
  async () => {
    const dir = mountDisk(20);
    up = startUp(join(dir, "up"));
    expect(await up.exited).toBe(1);
    expect(up.stderr).toMatch(
      /up: a new mesh needs 2[0-9.]+ MiB \([0-9]+ bytes\) free on this disk, which has (19|20)\.[0-9] MiB/,
    );
  },
  60_000,
);

onDisk(
  "a disk that was full: it is told, nothing acknowledged is lost, and it goes on once there is room",
  async () => {
    const dir = mountDisk(64);
    await begin(dir);
    expect((await apply(dir, "one")).code).toBe(0);
    const empty = fill(dir);
    expect(freeOf(dir)).toBeLessThan(256 * 1024);
    const admin = openAdminClient(readContext(join(dir, "up", "admin.json")));
    const problems = async () => (await admin.getStatus({})).problemDetails;
    try {
      await until(
        "the full disk is told",
        async () => (await problems()).some(({ code, message }) => code === "disk" && /started again/.test(message)),
        30_000,
      );
      const refused = await apply(dir, "two");
      expect(refused.code).not.toBe(0);
      expect(refused.stderr).toMatch(/the disk is full/);
      empty();
      await until(
        "nothing is wrong",
        async () => (await problems()).length === 0,
        60_000,
        () => up?.stderr ?? "",
      );
      expect(up?.stderr).toMatch(/NATS stopped storing when the disk was full: starting it again/);
      await until("a revision is published", async () => (await apply(dir, "three")).code === 0, 30_000);
      const log = JSON.parse((await cli(dir, "log", "-o", "json")).stdout) as { number: number }[];
      expect(log.map(({ number }) => number)).toEqual([2, 1]);
      await up?.stop();
      fill(dir);
      up = startUp(join(dir, "up"));
      expect(await up.exited).toBe(1);
      expect(up.stderr).toMatch(/up: the mesh that is there needs 4\.0 MiB \(4194304 bytes\) free on this disk/);
    } finally {
      admin.close();
    }
  },
  180_000,
);

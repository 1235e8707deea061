/** P6: how many bytes a proxy receives when one service of N changes, from publishing until the proxy evaluates it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { AdminClient } from "../../cli/client.js";
import { closeParts, type Parts } from "../../data-plane/app-parts.js";
import type { Mesh } from "../../test/conformance/mesh.js";
import { until } from "../../test/support/until.js";
import { printTable } from "../proxy/contenders.js";
import { activate, publish, withMesh } from "./bench-mesh.js";
import { CountingRelay } from "./counting-relay.js";
import { highest, median, quantile } from "./figures.js";
import { nameOf, policyOf } from "./policies.js";
import { follow, openSubscriber } from "./subscriber.js";

export interface ChangedBytesOptions {
  /** The numbers of services in the mesh; each is measured in turn. */
  readonly sizes: readonly number[];
  readonly rounds: number;
}

const own = 3;
const other = 5;
const largeMs = 120_000;

/** Measures one real subscriber: first its own service changes, then a service that it does not call. */
export async function measureChangedBytes({ sizes, rounds }: ChangedBytesOptions): Promise<void> {
  console.log("\n### P6: bytes that come to a proxy when one service of N changes\n");
  const rows: string[][] = [];
  const medians: number[] = [];
  await withMesh(async ({ mesh, admin }) => {
    const { nats } = JSON.parse(readFileSync(join(mesh.data, "ready.json"), "utf8"));
    const relay = await CountingRelay.start(nats);
    const stop = new AbortController();
    try {
      const parts = await joinThrough(mesh, admin, relay, stop.signal);
      try {
        for (const size of sizes) {
          const turns = new Map<number, number>();
          const whole = await bytesOf(admin, parts, relay, size, turns);
          const changes = { own: [] as number[], other: [] as number[] };
          for (let round = 1; round <= rounds; round += 1) {
            changes.own.push(await bytesOf(admin, parts, relay, size, turns.set(own, round)));
            changes.other.push(await bytesOf(admin, parts, relay, size, turns.set(other, round)));
          }
          const figures = [changes.own, changes.other].flatMap((bytes) => [
            median(bytes),
            quantile(bytes, 0),
            highest(bytes),
          ]);
          rows.push([size, whole, ...figures].map(String));
          medians.push(median(changes.own));
        }
      } finally {
        await closeParts(parts);
      }
    } finally {
      stop.abort();
      relay.stop();
    }
  });
  const columns = [
    "N",
    "all new",
    "its own service: median",
    "least",
    "most",
    "another service: median",
    "least",
    "most",
  ];
  printTable(columns, rows);
  const ratio = (medians.at(-1) ?? Number.NaN) / (medians[0] ?? Number.NaN);
  console.log(
    `\nBytes of its NATS connection, protocol and freshness statements included. N of ${sizes.at(-1)} against ${sizes[0]}: ${ratio.toFixed(2)}`,
  );
}

async function joinThrough(mesh: Mesh, admin: AdminClient, relay: CountingRelay, signal: AbortSignal): Promise<Parts> {
  const service = nameOf(own);
  const { token } = await admin.createJoinToken({ service, version: "", ttlMs: 0, uses: 1, controlPlane: "" });
  const place = { dir: join(mesh.dir, "subscriber"), join: join(mesh.data, "join.json") };
  const parts = await openSubscriber({ ...place, service, token, nats: relay.url }, signal);
  await follow(parts, signal);
  return parts;
}

async function bytesOf(
  admin: AdminClient,
  { policy }: Parts,
  relay: CountingRelay,
  size: number,
  turns: ReadonlyMap<number, number>,
): Promise<number> {
  const files = policyOf(size, turns);
  const before = relay.receivedBytes;
  const { epoch } = await activate(admin, await publish(admin, files));
  await until(`epoch ${epoch} is evaluated`, () => (policy.current?.epoch ?? 0) >= epoch, largeMs);
  return relay.receivedBytes - before;
}

/**
 * Proxies without listeners, several in this process: each joins through the join listener and follows the logs as a
 * proxy does, with a NATS connection, a floor on disk and heartbeats of its own. One line of JSON an epoch says when
 * each of them switched. Ends when stdin does.
 */
import { setMaxListeners } from "node:events";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { closeParts, joinOrLoad, openParts, type Parts } from "../../data-plane/app-parts.js";
import { parseProxyConfig } from "../../data-plane/config.js";
import { silentLogger } from "../../runtime/log.js";

/** What the parent says on stdin, one line. */
export interface SubscribersOrder {
  readonly folder: string;
  /** The join file. */
  readonly join: string;
  /** The service and the token of each. */
  readonly members: readonly { readonly service: string; readonly token: string }[];
}

/** What is said of an epoch when all have switched: Unix milliseconds of each. */
export interface Switched {
  readonly epoch: number;
  readonly atMs: readonly number[];
}

const joiningAtOnce = 4;

async function main(): Promise<void> {
  const text = await new Promise<string>((resolve) => process.stdin.once("data", (data) => resolve(String(data))));
  const order = JSON.parse(text) as SubscribersOrder;
  const stop = new AbortController();
  setMaxListeners(0, stop.signal); // of all of them
  const switches = new Map<number, number[]>();
  const switched = (epoch: number): void => {
    const atMs = switches.get(epoch) ?? [];
    switches.set(epoch, atMs);
    if (atMs.push(Date.now()) < order.members.length) return;
    switches.delete(epoch);
    process.stdout.write(`${JSON.stringify({ epoch, atMs } satisfies Switched)}\n`);
  };
  const all: Parts[] = [];
  const open = async (index: number): Promise<void> => {
    const parts = await openSubscriber(order, index, stop.signal);
    parts.policy.onSwitch(({ epoch }) => switched(epoch));
    await parts.bus.whenConnected(stop.signal);
    parts.sync.start();
    parts.reporter.start("127.0.0.1:9");
    all.push(parts);
  };
  for (let first = 0; first < order.members.length; first += joiningAtOnce) {
    const count = Math.min(joiningAtOnce, order.members.length - first);
    await Promise.all(Array.from({ length: count }, (_, place) => open(first + place)));
  }
  process.stdout.write("ready\n");
  await new Promise<void>((resolve) => process.stdin.once("end", resolve));
  await Promise.all(all.map(closeParts));
  stop.abort();
  process.exit(0);
}

async function openSubscriber(order: SubscribersOrder, index: number, signal: AbortSignal): Promise<Parts> {
  const { service = "", token = "" } = order.members[index] ?? {};
  const dir = join(order.folder, String(index));
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const flags = { service, token: "-", join: order.join, data: dir, outbound: `unix:${dir}/out.sock` };
  const config = parseProxyConfig({ flags, env: {}, file: {} }, dir);
  const surroundings = {
    log: silentLogger,
    logFormat: "json" as const,
    spawnWorker: () => {
      throw new Error("a subscriber has no workers");
    },
    readStdin: async () => token,
  };
  const identity = await joinOrLoad(config, surroundings, signal, signal);
  return openParts(config, identity, silentLogger, undefined, signal);
}

await main();

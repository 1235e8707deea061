/**
 * Several proxies without listeners in this process. Each joins through the join listener and follows the logs as a
 * proxy does, with a NATS connection, a floor on disk and heartbeats of its own. Prints one line of JSON per epoch with
 * the time at which each switched. Ends when stdin ends.
 */
import { setMaxListeners } from "node:events";
import { join } from "node:path";
import { closeParts, type Parts } from "../../data-plane/app-parts.js";
import { follow, openSubscriber } from "./subscriber.js";

/** The parent's order, one line on stdin. */
export interface SubscribersOrder {
  readonly folder: string;
  /** The path of the join file. */
  readonly join: string;
  /** The service and the token of each subscriber. */
  readonly members: readonly { readonly service: string; readonly token: string }[];
}

/** Printed when all have switched to an epoch: the time of each in Unix milliseconds. */
export interface Switched {
  readonly epoch: number;
  readonly atMs: readonly number[];
}

const joiningAtOnce = 4;

async function main(): Promise<void> {
  const text = await new Promise<string>((resolve) => process.stdin.once("data", (data) => resolve(String(data))));
  const order = JSON.parse(text) as SubscribersOrder;
  const stop = new AbortController();
  setMaxListeners(0, stop.signal); // all subscribers listen to it
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
    const { service = "", token = "" } = order.members[index] ?? {};
    const dir = join(order.folder, String(index));
    const parts = await openSubscriber({ dir, join: order.join, service, token }, stop.signal);
    parts.policy.onSwitch(({ epoch }) => switched(epoch));
    await follow(parts, stop.signal);
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

await main();

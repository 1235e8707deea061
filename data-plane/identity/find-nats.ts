/**
 * Renews the identity when NATS stays away, because the answer says where NATS is and brings credentials for it. A
 * private NATS whose folder was lost has another port and other keys, and otherwise only the hourly renewal would find
 * it.
 */
import { messageOf } from "../../core/errors.js";
import { onAbort } from "../../runtime/abort.js";
import { Backoff } from "../../runtime/backoff.js";
import type { Bus } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";

export interface FindNatsDeps {
  readonly identity: { renew(): Promise<void> };
  readonly bus: Pick<Bus, "connected" | "onStatus">;
  readonly clock: Pick<Clock, "sleep">;
  readonly random: () => number;
  readonly log: Logger;
}

/** The milliseconds after which a proxy asks, random between the two, so that a fleet does not ask at once. */
const awayMs = { min: 30_000, max: 60_000 };
/** The milliseconds between further renewals while NATS stays away; each costs a control plane two signatures. */
const again = { msMin: 60_000, msMax: 900_000 };

/** Watches until `signal` aborts. Never rejects. */
export async function findNats(
  { identity, bus, clock, random, log }: FindNatsDeps,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    if (bus.connected) await changed(bus, signal);
    const backoff = new Backoff(again, random);
    let waitMs = awayMs.min + random() * (awayMs.max - awayMs.min);
    while (!bus.connected && !signal.aborted) {
      await sleepWhileAway(bus, clock, waitMs, signal);
      if (bus.connected || signal.aborted) break;
      try {
        await identity.renew();
        log.info("NATS is away: a control plane was asked where it is");
      } catch (error) {
        log.debug("NATS is away, and no control plane says where it is", { why: messageOf(error) });
      }
      waitMs = backoff.nextMs();
    }
  }
}

async function sleepWhileAway(
  bus: FindNatsDeps["bus"],
  clock: FindNatsDeps["clock"],
  waitMs: number,
  signal: AbortSignal,
): Promise<void> {
  const back = new AbortController();
  const off = bus.onStatus(({ connected }) => connected && back.abort());
  await clock.sleep(waitMs, AbortSignal.any([signal, back.signal]));
  off();
}

function changed(bus: Pick<Bus, "onStatus">, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const offs: (() => void)[] = [];
    const done = (): void => {
      for (const off of offs.splice(0)) off();
      resolve();
    };
    offs.push(
      bus.onStatus(() => done()),
      onAbort(signal, done),
    );
  });
}

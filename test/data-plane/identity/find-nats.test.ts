/** NATS stays away: the control plane is asked where it is. */
import { expect, test } from "@jest/globals";
import { findNats } from "../../../data-plane/identity/find-nats.js";
import { silentLogger } from "../../../runtime/log.js";
import { ManualClock, settle } from "../../support/manual-clock.js";

class FakeBus {
  connected = true;
  readonly #listeners = new Set<(status: { readonly connected: boolean }) => void>();

  onStatus(listener: (status: { readonly connected: boolean }) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async set(connected: boolean): Promise<void> {
    this.connected = connected;
    for (const listener of [...this.#listeners]) listener({ connected });
    await settle();
  }

  get listening(): number {
    return this.#listeners.size;
  }
}

const minute = 60_000;

test("it is asked after half a minute, then ever more seldom, until NATS is back; then a next time like the first", async () => {
  const [clock, bus, stop] = [new ManualClock(), new FakeBus(), new AbortController()];
  let renewals = 0;
  const renew = async (): Promise<void> => {
    renewals += 1;
    if (renewals % 2 === 0) throw new Error("no control plane");
  };
  const ended = findNats({ identity: { renew }, bus, clock, random: () => 0.5, log: silentLogger }, stop.signal);
  await clock.advance(60 * minute);
  expect(renewals).toBe(0);

  await bus.set(false);
  await clock.advance(20_000);
  await bus.set(true);
  await clock.advance(60 * minute);
  expect(renewals).toBe(0);

  await bus.set(false);
  await clock.advance(29_000);
  expect(renewals).toBe(0);
  await clock.advance(31_000);
  expect(renewals).toBe(1);
  await clock.advance(10 * minute);
  expect(renewals).toBe(4);
  await clock.advance(24 * 60 * minute);
  expect(renewals).toBeLessThan(4 + (24 * 60) / 7);

  await bus.set(true);
  const before = renewals;
  await clock.advance(60 * minute);
  expect(renewals).toBe(before);
  await bus.set(false);
  await clock.advance(minute);
  expect(renewals).toBe(before + 1);
  stop.abort();
  await ended;
  expect(bus.listening).toBe(0);
});

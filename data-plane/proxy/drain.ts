import type { Clock } from "../../runtime/clock.js";

/** The steps by which a proxy stops. */
export interface DrainParts {
  /** Makes /readyz answer 503. */
  unready(): void;
  /** Withdraws the endpoint. Resolves when peers were told. */
  withdraw(): Promise<void>;
  /** Sends GOAWAY on every connection. Resolves when the last call has ended. */
  finish(): Promise<void>;
  /** Closes everything at once. */
  close(): void;
}

export interface DrainOptions {
  /** How long open calls get to end, in milliseconds. */
  readonly graceMs: number;
  /** How long withdrawing the endpoint may take, in milliseconds. */
  readonly withdrawMs: number;
  /** How long peers get to react before GOAWAY is sent, in milliseconds. */
  readonly discourageMs: number;
}

export const drainDefaults: DrainOptions = { graceMs: 10_000, withdrawMs: 1000, discourageMs: 300 };

/**
 * Stops without losing a call that ends within the grace: first peers learn to send no new calls, then connections are
 * asked to close, then the rest is cut. Resolves to true if nothing had to be cut. Never rejects.
 */
export async function drain(
  { unready, withdraw, finish, close }: DrainParts,
  clock: Clock,
  options: DrainOptions,
): Promise<boolean> {
  unready();
  const withdrawn = withdraw().catch(() => {}); // while NATS is away, peers notice by missing heartbeats
  await bounded(clock, withdrawn, options.withdrawMs);
  await clock.sleep(options.discourageMs);
  const whole = await bounded(clock, finish(), options.graceMs);
  close();
  return whole;
}

/** Returns whether `work` finished within `ms`. */
async function bounded(clock: Clock, work: Promise<unknown>, ms: number): Promise<boolean> {
  const cut = new AbortController();
  const done = work.then(
    () => true,
    () => true,
  );
  const late = clock.sleep(ms, cut.signal).then(() => false);
  const inTime = await Promise.race([done, late]);
  cut.abort();
  return inTime;
}

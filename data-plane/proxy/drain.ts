import type { Clock } from "../../runtime/clock.js";

/** What a proxy that stops has to wind down. */
export interface DrainParts {
  /** Not ready from now on. */
  unready(): void;
  /** Tells peers to go elsewhere; resolves when they have been told. */
  withdraw(): Promise<void>;
  /** GOAWAY to everybody; resolves when the last call has ended. */
  finish(): Promise<void>;
  /** Closes everything at once. */
  close(): void;
}

export interface DrainOptions {
  /** For open calls to end. */
  readonly graceMs: number;
  /** For the withdrawal to be told. */
  readonly withdrawMs: number;
  /** For peers to act on it, before GOAWAY. */
  readonly discourageMs: number;
}

export const drainDefaults: DrainOptions = { graceMs: 10_000, withdrawMs: 1000, discourageMs: 300 };

/**
 * Winds down without losing a call that ends within the grace: first nobody new is sent here, then
 * connections are asked to close, then what is left is cut. True: nothing had to be cut. Never rejects.
 */
export async function drain(
  { unready, withdraw, finish, close }: DrainParts,
  clock: Clock,
  options: DrainOptions,
): Promise<boolean> {
  unready();
  const withdrawn = withdraw().catch(() => {}); // a broker that is away hears of it by missing heartbeats
  await bounded(clock, withdrawn, options.withdrawMs);
  await clock.sleep(options.discourageMs);
  const whole = await bounded(clock, finish(), options.graceMs);
  close();
  return whole;
}

/** True: `work` was done within `ms`. */
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

/** Tells the feeds of a proxy that something was stored in its service's journal, so that they read on. */
import { journaledPrefix } from "../../core/wire/subjects.js";
import { onAbort } from "../../runtime/abort.js";
import type { Bus, BusSubscription } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";

/** The milliseconds after which a feed looks by itself, because a notification may be lost. */
const lookEveryMs = 1000;

export class JournalNews {
  readonly #bus: Pick<Bus, "subscribe">;
  readonly #clock: Clock;
  readonly #subject: string;
  #subscription: BusSubscription | undefined;
  #stored = 0;
  readonly #waiting = new Set<() => void>();

  constructor(bus: Pick<Bus, "subscribe">, clock: Clock, service: string) {
    this.#bus = bus;
    this.#clock = clock;
    this.#subject = `${journaledPrefix(service)}.>`;
  }

  /** The last sequence that was announced, for `after`. Listening begins with the first call. */
  get stored(): number {
    this.#subscription ??= this.#listen();
    return this.#stored;
  }

  /** Resolves when more than `stored` was announced, after a second, or when `signal` aborts. */
  async after(stored: number, signal: AbortSignal): Promise<void> {
    if (this.#stored !== stored) return;
    const over = new AbortController();
    const end = (): void => over.abort();
    this.#waiting.add(end);
    const off = onAbort(signal, end);
    await this.#clock.sleep(lookEveryMs, over.signal);
    off?.();
    this.#waiting.delete(end);
  }

  close(): void {
    this.#subscription?.close();
  }

  #listen(): BusSubscription {
    const subscription = this.#bus.subscribe(this.#subject, { queueMax: 16 });
    void this.#hear(subscription);
    return subscription;
  }

  async #hear(subscription: BusSubscription): Promise<void> {
    for await (const _ of subscription) {
      this.#stored += 1;
      for (const tell of this.#waiting) tell();
    }
  }
}

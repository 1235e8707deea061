/**
 * Watches the disk of a private NATS. A server that met a full disk stops storing, completely or for one stream, and
 * does not resume by itself when there is room again; so it is restarted then. Bounded streams get what there is room
 * for.
 */
import { open } from "node:fs/promises";
import { messageOf } from "../../core/errors.js";
import { streamOf } from "../../core/wire/subjects.js";
import type { Bus } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import { lowBytes, neededBytes, renderBytes } from "./disk-room.js";

export interface DiskWatchDeps {
  /** The folder of the server; `logFile`: the file that it logs to. */
  readonly dir: string;
  readonly logFile: string;
  readonly bus: Pick<Bus, "connected" | "streamInfo">;
  readonly clock: Clock;
  readonly log: Logger;
  freeBytes(): Promise<number>;
  /** Starts the server again. */
  restart(): Promise<void>;
  /** Gives the bounded streams what there is room for. */
  fitStreams(): Promise<void>;
}

export interface DiskWatch {
  /** Returns the problems of the disk, one line each. */
  problems(): readonly string[];
  close(): Promise<void>;
}

const lookMs = 5000;
/** Below this many free bytes, writes have failed or soon will. */
const fullBytes = 256 * 1024;
/** With this many free bytes a server is restarted. */
const enoughBytes = neededBytes(false);
/** After this many unanswered looks, a server has switched JetStream off. */
const silentMax = 3;
const restartEveryMs = 60_000;
const logBytesMax = 64 * 1024;
const storingEnded =
  /no space left on device|disk quota exceeded|critical write error|JetStream out of|isabling JetStream/i;

class Watch {
  readonly #deps: DiskWatchDeps;
  #free = Number.POSITIVE_INFINITY;
  #wasFull = false;
  #silent = 0;
  #logRead = 0;
  #restartedMs = Number.NEGATIVE_INFINITY;

  constructor(deps: DiskWatchDeps) {
    this.#deps = deps;
  }

  get #stopped(): boolean {
    return this.#wasFull || this.#silent >= silentMax;
  }

  problems(): readonly string[] {
    const { dir } = this.#deps;
    const free = renderBytes(this.#free);
    if (this.#stopped)
      return [
        `${dir}: the disk was full, ${free} are free: NATS has stopped storing, and nothing can be published or activated; ` +
          `make room there: with ${renderBytes(enoughBytes)} free it is started again by itself`,
      ];
    if (this.#free >= lowBytes) return [];
    return [
      `${dir}: ${free} are free on this disk, less than half of what is kept for the logs: make room there; recorded ` +
        "decisions take no more of it, and each new one pushes an old one out",
    ];
  }

  /** Looks once. Never rejects. */
  async look(): Promise<void> {
    const { log, clock, freeBytes, fitStreams, restart } = this.#deps;
    try {
      this.#free = await freeBytes();
      this.#wasFull ||= this.#free < fullBytes || (await this.#hasLogged());
      await this.#ask();
      if (!this.#stopped) return this.#silent > 0 ? undefined : await fitStreams();
      if (this.#free < enoughBytes || clock.monotonicMs() - this.#restartedMs < restartEveryMs) return;
      log.warn("NATS stopped storing when the disk was full: starting it again", { free: this.#free });
      this.#restartedMs = clock.monotonicMs();
      await restart();
      await this.#hasLogged(); // what it said while it was ending is outdated
      this.#wasFull = false;
      this.#silent = 0;
    } catch (error) {
      log.warn("cannot check the disk of NATS", { why: messageOf(error) });
    }
  }

  async #ask(): Promise<void> {
    const { bus } = this.#deps;
    if (!bus.connected) return;
    const answered = await bus.streamInfo(streamOf.revisions).then(
      () => true,
      () => false,
    );
    this.#silent = answered ? 0 : this.#silent + 1;
  }

  /** Returns whether the server has logged, since the last look, that it could not store. */
  async #hasLogged(): Promise<boolean> {
    const file = await open(this.#deps.logFile, "r").catch(() => undefined);
    if (file === undefined) return false;
    try {
      const { size } = await file.stat();
      const from = Math.max(size < this.#logRead ? 0 : this.#logRead, size - logBytesMax);
      const { bytesRead, buffer } = await file.read({ buffer: Buffer.alloc(size - from), position: from });
      this.#logRead = size;
      return storingEnded.test(buffer.toString("latin1", 0, bytesRead));
    } finally {
      await file.close();
    }
  }
}

/** Watches until it is closed. */
export function watchDisk(deps: DiskWatchDeps): DiskWatch {
  const watch = new Watch(deps);
  const stop = new AbortController();
  const running = (async () => {
    while (!stop.signal.aborted) {
      await watch.look();
      await deps.clock.sleep(lookMs, stop.signal);
    }
  })();
  return {
    problems: () => watch.problems(),
    async close() {
      stop.abort();
      await running;
    },
  };
}

/**
 * Replays the history of a journal: reads it from the control plane, sends it, compares the answers, and stores the
 * progress.
 */
import { AshlarError, isAshlarError } from "../../core/errors.js";
import type {
  ReplayedWrite,
  ReplayJournalResponse,
  ReplayStart,
  ReplaySummary,
} from "../../proto/gen/ashlar/v1/admin.js";
import { Backoff } from "../../runtime/backoff.js";
import type { Clock } from "../../runtime/clock.js";
import { type Checkpoint, writeCheckpoint } from "./checkpoint.js";
import { compareOutcome, type Divergence } from "./compare-outcome.js";
import { Lanes } from "./lanes.js";
import type { Answer } from "./replay-client.js";

export interface ReplayOptions {
  readonly service: string;
  readonly target: string;
  readonly checkpoint: { readonly path: string; readonly from: Checkpoint | undefined };
  readonly isDryRun: boolean;
  /** Compare the responses' bytes, too. */
  readonly isWhole: boolean;
  /** List divergences, and continue after them. */
  readonly goesOn: boolean;
  readonly parallel: number;
  /** The most writes a second; undefined: as fast as the target answers. */
  readonly rate: number | undefined;
}

export interface ReplayDeps {
  readonly clock: Clock;
  /** Sends a write of this order key once. */
  send(write: ReplayedWrite, start: ReplayStart): Promise<Answer>;
  progress(text: string): void;
}

export interface ReplayResult {
  readonly sent: number;
  readonly position: number;
  readonly diverged: number;
  /** The first thousand divergences of this run. */
  readonly divergences: readonly Divergence[];
  /** The summary of the history; undefined: the replay ended at a divergence. */
  readonly summary: ReplaySummary | undefined;
  readonly tookMs: number;
}

const divergencesMax = 1000;
const checkpointEveryMs = 1000;
const progressEveryMs = 1000;
const retry = { msMin: 50, msMax: 2000 };
/** The milliseconds for which a target that cannot be reached is tried again. */
const patienceMs = 30_000;
const unavailable = 14;

export class Replay {
  readonly #deps: ReplayDeps;
  readonly #options: ReplayOptions;
  readonly #lanes: Lanes;
  readonly #startedMs: number;
  readonly #divergences: Divergence[] = [];
  #diverged = 0;
  #sent = 0;
  #start: ReplayStart | undefined;
  #keptMs = 0;
  #toldMs = 0;
  #nextMs = 0;

  constructor(deps: ReplayDeps, options: ReplayOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#lanes = new Lanes(options.parallel);
    this.#startedMs = deps.clock.monotonicMs();
    this.#keptMs = this.#toldMs = this.#nextMs = this.#startedMs;
    this.#lanes.reach(options.checkpoint.from?.position ?? 0);
  }

  /** All writes up to this position are done. */
  get position(): number {
    return this.#lanes.done;
  }

  /** True if a write failed at the target, so that no more are sent. */
  get hasFailed(): boolean {
    return this.#lanes.hasFailed;
  }

  /**
   * Replays the history. Fails with `unavailable` if the target cannot be reached, and with the errors of the control
   * plane. The progress is stored, and writes that were begun are finished.
   */
  async run(messages: AsyncIterable<ReplayJournalResponse>): Promise<ReplayResult> {
    let summary: ReplaySummary | undefined;
    try {
      for await (const { message } of messages) {
        if (message?.$case === "start") this.#start = message.value;
        else if (message?.$case === "write") await this.#add(message.value);
        else if (message?.$case === "position") await this.#read(message.value);
        else if (message?.$case === "level") await this.#level(message.value);
        else if (message?.$case === "summary") summary = message.value;
      }
      await this.#lanes.drain();
    } catch (error) {
      if (!(error instanceof StoppedByDivergence)) {
        if (!this.#lanes.hasFailed) await this.#lanes.drain();
        throw error;
      }
      summary = undefined;
    } finally {
      this.#keep();
    }
    const { position } = this.#state;
    const tookMs = this.#deps.clock.monotonicMs() - this.#startedMs;
    return { sent: this.#sent, position, diverged: this.#diverged, divergences: this.#divergences, summary, tookMs };
  }

  async #add(write: ReplayedWrite): Promise<void> {
    const { isDryRun, rate } = this.#options;
    if (isDryRun) {
      this.#sent += 1;
      return;
    }
    const { clock } = this.#deps;
    if (rate !== undefined) {
      await clock.sleep(Math.max(0, this.#nextMs - clock.monotonicMs()));
      this.#nextMs = Math.max(this.#nextMs, clock.monotonicMs() - 1000) + 1000 / rate;
    }
    await this.#lanes.add(write.order, write.position, write.request.length + write.response.length, () =>
      this.#send(write),
    );
  }

  async #read(position: number): Promise<void> {
    this.#lanes.reach(position);
    const nowMs = this.#deps.clock.monotonicMs();
    if (nowMs - this.#keptMs >= checkpointEveryMs) this.#keep();
    if (nowMs - this.#toldMs < progressEveryMs || this.#start === undefined) return;
    this.#toldMs = nowMs;
    this.#deps.progress(renderProgress(this.#start, this.#lanes.done, this.#sent, nowMs - this.#startedMs));
  }

  /**
   * Notes that the history has no more writes for now: the target is up to date once everything that was begun is done.
   */
  async #level(position: number): Promise<void> {
    this.#lanes.reach(position);
    await this.#lanes.drain();
    this.#keep();
    const { service, target } = this.#options;
    this.#deps.progress(`${target} is level with the journal of ${service} at position ${position}`);
  }

  async #send(write: ReplayedWrite): Promise<void> {
    const answer = await this.#sendUntilAnswered(write);
    this.#sent += 1;
    const { service, isWhole, goesOn } = this.#options;
    if (answer.isRefused)
      throw new AshlarError("denied", `the target's proxy refuses the replay of ${service}: ${answer.message}`);
    const divergence = compareOutcome(write, answer, isWhole);
    if (divergence === undefined) return;
    this.#diverged += 1;
    if (this.#divergences.length < divergencesMax) this.#divergences.push(divergence);
    if (!goesOn) throw new StoppedByDivergence();
  }

  /**
   * Sends a write until it is answered. A target that cannot be reached, or answers 14 where that was not the outcome,
   * is asked again; the application recognizes repeats by the sequence.
   */
  async #sendUntilAnswered(write: ReplayedWrite): Promise<Answer> {
    const { clock, send } = this.#deps;
    const untilMs = clock.monotonicMs() + patienceMs;
    const backoff = new Backoff(retry);
    for (;;) {
      let problem: string;
      try {
        const answer = await send(write, this.#start ?? emptyStart);
        if (answer.code !== unavailable || write.code === unavailable || answer.isRefused) return answer;
        problem = answer.message;
      } catch (error) {
        if (!isAshlarError(error, "unavailable")) throw error;
        problem = error.message;
      }
      if (clock.monotonicMs() >= untilMs)
        throw new AshlarError("unavailable", `entry ${write.sequence} does not reach the target: ${problem}`);
      await clock.sleep(backoff.nextMs());
    }
  }

  get #state(): Checkpoint {
    const { service, target, checkpoint } = this.#options;
    const { sent = 0, diverged = 0 } = checkpoint.from ?? {};
    return {
      ...{ service, target, position: this.#lanes.done },
      sent: sent + this.#sent,
      diverged: diverged + this.#diverged,
    };
  }

  #keep(): void {
    this.#keptMs = this.#deps.clock.monotonicMs();
    if (!this.#options.isDryRun) writeCheckpoint(this.#options.checkpoint.path, this.#state);
  }
}

const emptyStart: ReplayStart = { first: 0, last: 0, targets: [], identity: "" };

/** Ends a replay that stops at the first divergence, which is in the result. */
class StoppedByDivergence extends Error {}

function renderProgress({ first, last }: ReplayStart, done: number, sent: number, tookMs: number): string {
  const share = last < first ? 1 : Math.min(1, Math.max(0, (done - first + 1) / (last - first + 1)));
  const rate = sent / (tookMs / 1000);
  const leftS = share === 0 ? undefined : (tookMs / 1000 / share) * (1 - share);
  const left = leftS === undefined ? "" : `, ${Math.ceil(leftS)} s left`;
  return `${sent} writes sent, position ${done} of ${last} (${Math.floor(share * 100)} %), ${rate.toFixed(0)}/s${left}`;
}

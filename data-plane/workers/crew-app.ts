/** Tells workers which application is registered, and what it has applied of its service's journal. */
import { type AppliedReport, reportedSequencesMax } from "../agent/applied-writes.js";
import type { AppliedView, AppView } from "../ports.js";
import type { Crew } from "./crew.js";

export class CrewApp {
  readonly #crew: Pick<Crew, "say" | "briefed">;
  readonly #view: AppView & AppliedView;
  /** The report that is sent at the end of this turn. undefined: none is. */
  #pending: { position: number; readonly sequences: number[] } | undefined;
  readonly #stops: readonly (() => void)[];

  constructor(crew: Pick<Crew, "say" | "briefed">, view: AppView & AppliedView) {
    this.#crew = crew;
    this.#view = view;
    this.#stops = [
      view.onChange((app) => {
        for (const worker of crew.briefed) crew.say(worker, { kind: "app", app });
      }),
      view.onApplied((report) => this.#heard(report)),
    ];
  }

  stop(): void {
    for (const stop of this.#stops) stop();
  }

  brief(worker: number): void {
    this.#crew.say(worker, { kind: "app", app: this.#view.current });
    this.#tellAll(worker);
  }

  /** A worker reports that the application's socket refused. That worker has removed the application already. */
  refused(worker: number, instance: string): void {
    const { current } = this.#view;
    if (current?.instance === instance) this.#view.reportRefused(current);
    this.#crew.say(worker, { kind: "app", app: this.#view.current });
  }

  #tellAll(worker: number): void {
    this.#crew.say(worker, { kind: "applied", report: this.#view.applied?.report(), isNew: true });
  }

  /** Collects the reports of one turn and sends them as one. */
  #heard(report: AppliedReport | undefined): void {
    if (report === undefined) {
      this.#pending = undefined;
      for (const worker of this.#crew.briefed) this.#tellAll(worker);
      return;
    }
    if (this.#pending === undefined) {
      this.#pending = { position: 0, sequences: [] };
      setImmediate(() => this.#flush());
    }
    this.#pending.position = Math.max(this.#pending.position, report.position);
    for (const sequence of report.sequences) this.#pending.sequences.push(sequence);
    if (this.#pending.sequences.length >= reportedSequencesMax) this.#flush();
  }

  #flush(): void {
    const report = this.#pending;
    this.#pending = undefined;
    if (report === undefined) return;
    for (const worker of this.#crew.briefed) this.#crew.say(worker, { kind: "applied", report, isNew: false });
  }
}

/** Implements the ports that calls need in a worker, from the first process's messages. */
import { AshlarError, messageOf, unreachable } from "../../core/errors.js";
import type { Signed, Trust } from "../../core/model.js";
import { rootKeySet, verifyTrust } from "../../core/wire/records.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import type { TrustView } from "../ports.js";
import { listen } from "../sync/policy-view.js";
import { createTrustView } from "../sync/trust-view.js";
import { WorkerJournalBus } from "./journal-questions.js";
import type { FromWorker, ToWorker, WorkerTask } from "./messages.js";
import { WorkerDecisions } from "./worker-decisions.js";
import { WorkerLimits } from "./worker-limits.js";
import { WorkerPolicy } from "./worker-policy.js";
import { WorkerQuestions } from "./worker-questions.js";
import { WorkerApp, WorkerApplied, WorkerEndpoints, WorkerIdentity } from "./worker-views.js";

/** The messages that set a worker's state. */
export type StateMessage = Exclude<
  ToWorker,
  { readonly kind: "setup" | "task" | "connection" | "spread" | "mesh-ports" | "taps" | "close" }
>;
/** The tasks that change a worker's state. */
export type StateTask = WorkerTask & { readonly kind: "trust" | "prepare" | "switch" };

export interface WorkerPortsDeps {
  readonly clock: Clock;
  readonly log: Logger;
  send(message: FromWorker): void;
}

export interface WorkerPortsOptions {
  readonly mesh: string;
  /** The mesh's root key. Workers verify trust records too. */
  readonly rootPublicKey: Uint8Array;
  /** The number of workers of the proxy. */
  readonly workers: number;
}

export class WorkerPorts {
  readonly #log: Logger;
  readonly #options: WorkerPortsOptions;
  readonly #questions: WorkerQuestions;
  readonly #trustListeners = new Set<() => void>();
  #trusting: Signed<Trust> | undefined;
  readonly identity = new WorkerIdentity();
  readonly trust: TrustView;
  readonly policy: WorkerPolicy;
  readonly endpoints: WorkerEndpoints;
  readonly app: WorkerApp;
  readonly applied = new WorkerApplied();
  readonly limits: WorkerLimits;
  readonly decisions: WorkerDecisions;
  readonly journalBus: WorkerJournalBus;

  constructor({ clock, log, send }: WorkerPortsDeps, options: WorkerPortsOptions) {
    this.#log = log;
    this.#options = options;
    this.#questions = new WorkerQuestions((question, what) => send({ kind: "question", question, what }));
    const ask = this.#questions.ask.bind(this.#questions);
    const onChange = (listener: () => void) => listen(this.#trustListeners, listener);
    this.trust = createTrustView({ trusting: () => this.#trusting, onChange }, options.mesh);
    this.policy = new WorkerPolicy({ mesh: options.mesh, ask, clock });
    this.endpoints = new WorkerEndpoints(ask);
    this.app = new WorkerApp(({ instance }) => send({ kind: "refused", instance }));
    this.limits = new WorkerLimits(send, options.workers);
    this.decisions = new WorkerDecisions(ask, clock);
    this.journalBus = new WorkerJournalBus((what) => this.#questions.askJournal(what));
  }

  /** The trust record in force. */
  get trusting(): Signed<Trust> | undefined {
    return this.#trusting;
  }

  /** Takes a message. Fails if it is malformed. */
  take(message: StateMessage): void {
    switch (message.kind) {
      case "identity":
        this.identity.set(message.identity);
        return;
      case "seen":
        this.policy.seenEpoch = message.epoch;
        return;
      case "fresh":
        this.policy.heardFresh(message.ageMs);
        return;
      case "unit":
        this.#addUnit(message);
        return;
      case "drop":
        this.policy.drop(message.revision);
        return;
      case "shadow":
        void this.policy.orderShadow(message.shadow);
        return;
      case "app":
        this.app.set(message.app);
        return;
      case "applied":
        this.applied.hear(message.report, message.isNew);
        return;
      case "endpoints":
        this.endpoints.set(message.service, message.endpoints);
        return;
      case "sharing":
      case "limits":
        this.limits.take(message);
        return;
      case "answer":
        this.#questions.answer(message.question, message.answer);
        return;
      default:
        unreachable(message);
    }
  }

  /** Performs a task. Resolves when the change is in force, and fails if that is not possible. */
  async perform(what: StateTask): Promise<void> {
    switch (what.kind) {
      case "trust":
        this.#trusting = verifyTrust(what.record, this.#options.mesh, rootKeySet(this.#options.rootPublicKey));
        for (const listener of this.#trustListeners) listener();
        return;
      case "prepare":
        return this.policy.prepare(what);
      case "switch":
        return this.policy.switchTo(what.epoch, what.revision);
      default:
        return unreachable(what);
    }
  }

  /**
   * Adds a unit. The first process has already refused a unit that is not acceptable and told whoever uses the service.
   */
  #addUnit({ revision, unit }: ToWorker & { readonly kind: "unit" }): void {
    try {
      this.policy.addUnit(revision, unit);
    } catch (error) {
      if (!(error instanceof AshlarError)) throw error;
      this.#log.error(`unit ${unit.name} is not acceptable: ${messageOf(error)}`);
    }
  }
}

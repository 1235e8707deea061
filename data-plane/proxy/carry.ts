import { AshlarError, messageOf } from "../../core/errors.js";
import { isReservedHeader } from "../../core/wire/headers.js";
import type { Clock } from "../../runtime/clock.js";
import { type Answer, deadlineAnswer, unavailableAnswer } from "./answer.js";
import type { AcceptedStream } from "./forward/accepted-stream.js";
import { Forwarding, type ForwardPlan } from "./forward/forward.js";
import type { UpstreamSlot } from "./forward/upstream-session.js";
import { type Field, findField } from "./request-head.js";
import { buildTraceparent, isTraceparent } from "./traceparent.js";

/** The first try and the retries that are surely safe. */
const attemptsMax = 3;
const timerMsMax = 2 ** 31 - 1;

/** Picks an upstream; called again when the one before surely processed nothing. */
export type PickUpstream = () => Promise<UpstreamSlot | Answer>;

/** The time by which a call must be over. */
export class Deadline {
  readonly #clock: Clock;
  readonly #atMs: number | undefined;

  constructor(clock: Clock, timeoutMs: number | undefined) {
    this.#clock = clock;
    this.#atMs = timeoutMs === undefined ? undefined : clock.monotonicMs() + timeoutMs;
  }

  /** undefined: there is none. Never below 0. */
  remainingMs(): number | undefined {
    return this.#atMs === undefined ? undefined : Math.max(0, this.#atMs - this.#clock.monotonicMs());
  }
}

/** A call on its way, with its deadline. */
export class CarriedCall {
  readonly #accepted: AcceptedStream;
  readonly #forwarding: Forwarding;
  readonly #revision: number | undefined;

  constructor(accepted: AcceptedStream, plan: ForwardPlan) {
    this.#accepted = accepted;
    this.#forwarding = new Forwarding(accepted, plan);
    this.#revision = plan.revision;
    this.#watchDeadline(plan);
  }

  /** Ends it with an answer of the proxy's own. */
  end(answer: Answer): void {
    this.#forwarding.end(answer);
  }

  /** Sends the call to what `pick` gives; resolves when it is over. */
  async carry(pick: PickUpstream): Promise<void> {
    for (let attempt = 1; attempt <= attemptsMax; attempt++) {
      const slot = await pick();
      if ("code" in slot) return this.#accepted.answer(slot);
      if ((await this.#forwarding.send(slot)) === "done") return;
    }
    this.#accepted.answer(unavailableAnswer("overload", "the upstream refused the call", this.#revision));
  }

  #watchDeadline(plan: ForwardPlan): void {
    const remainingMs = plan.remainingMs();
    if (remainingMs === undefined) return;
    const timer = setTimeout(
      () => this.end(deadlineAnswer(plan.revision)),
      Math.min(Math.ceil(remainingMs), timerMsMax),
    );
    this.#accepted.whenEnded(() => clearTimeout(timer));
  }
}

/** The fields that are sent on: what only a proxy may say is removed, then said by this proxy. */
export function requestFields(
  received: readonly Field[],
  own: readonly Field[],
  random: (bytes: number) => Buffer,
): Field[] {
  const parent = findField(received, "traceparent");
  const parents = received.filter(([name]) => name === "traceparent").length;
  const traced = parent !== undefined && parents === 1 && isTraceparent(parent);
  const fields = received.filter(
    ([name]) => !isReservedHeader(name) && (traced || (name !== "traceparent" && name !== "tracestate")),
  );
  if (!traced) fields.push(["traceparent", buildTraceparent(random(24))]);
  fields.push(...own);
  return fields;
}

/** What the caller is told when an upstream could not be had. */
export function answerFor(error: unknown, what: string, revision: number | undefined): Answer {
  const full = error instanceof AshlarError && error.code === "limit";
  return unavailableAnswer(full ? "overload" : "unreachable", `${what}: ${messageOf(error)}`, revision);
}

/**
 * The messages between a proxy's first process and its workers. State goes one way, to the workers. Workers send
 * questions, and confirm tasks. A new message needs a member here, a reader below if a worker sends it, and its case in
 * `worker-ports.ts` or `crew.ts`, which do not compile without one.
 */
import type { Socket } from "node:net";
import type { RefusalCount, Verdict } from "../../core/decision/decision-record.js";
import type { Digest } from "../../core/digest.js";
import { AshlarError, type ErrorCode, errorCodes } from "../../core/errors.js";
import type { Limit } from "../../core/kinds/rate-limit/rate-limit.js";
import {
  type KeyDemand,
  type LimitReport,
  type ReportOrigin,
  reportedKeysMax,
  reportedLimitsMax,
} from "../../core/limit/limit-report.js";
import type { Endpoint } from "../../core/model.js";
import type { LogFormat, LogLevel } from "../../runtime/log.js";
import type { AppliedReport } from "../agent/applied-writes.js";
import type { EdgeConfig } from "../edge/edge-config.js";
import type { MeshPort } from "../egress/inside.js";
import type { WantedTap } from "../look/call-tap.js";
import type { AppRegistration, CallIdentity } from "../ports.js";
import type { CarrierOptions } from "../proxy/carrier.js";
import type { ProxyEngineOptions } from "../proxy/forward/proxy-engine.js";
import { type JournalAnswer, type JournalQuestion, readJournalQuestion } from "./journal-questions.js";
import { amount, bytes, digest, fieldsOf, integer, invalid, label, list, text, workload } from "./message-readers.js";

/** Settings that do not change while a worker lives. */
export interface WorkerSetup {
  readonly options: CarrierOptions;
  /** The mesh's root key: workers verify trust records themselves. */
  readonly rootPublicKey: Uint8Array;
  readonly engine: ProxyEngineOptions;
  readonly log: { readonly level: LogLevel; readonly format: LogFormat; readonly name: string };
  /** The number of workers of the proxy, which share its rate limits. */
  readonly workers: number;
  /** Eight random bytes of the first process, in hexadecimal. Workers with the same value belong to the same run. */
  readonly journalLife: string;
  /** Whether the first process took over from another process of the same proxy, which may still carry writes. */
  readonly tookOver: boolean;
  /** The listeners for outside clients. undefined: the proxy is no gateway. */
  readonly edge?: EdgeConfig | undefined;
}

/** A unit of a revision. `bytes` is left out where the worker has them from another revision. */
export interface SentUnit {
  readonly name: string;
  readonly digest: Digest;
  readonly bytes: Uint8Array | undefined;
}

/** A candidate that also judges calls while they are judged by `epoch`. */
export interface SentShadow {
  readonly epoch: number;
  readonly revision: Digest;
  /** The share of calls that the candidate judges, above 0 and up to 1. */
  readonly share: number;
}

/** A task. The worker answers it with `done` and the same `task`. */
export type WorkerTask =
  /** Uses this signed trust record. */
  | { readonly kind: "trust"; readonly record: Uint8Array }
  /** Compiles this revision and holds it. */
  | {
      readonly kind: "prepare";
      readonly number: number;
      readonly digest: Digest;
      readonly list: { readonly digest: Digest; readonly bytes: Uint8Array };
      readonly units: readonly SentUnit[];
    }
  /** Judges calls by this revision from now on. */
  | { readonly kind: "switch"; readonly epoch: number; readonly revision: Digest }
  | { readonly kind: "ping" }
  /** Confirms when no call is open at the application. */
  | { readonly kind: "idle" }
  /** Measures. The answer's `value` has the counts. */
  | { readonly kind: "measure" }
  /** Takes no new calls, and confirms when the last one has ended. */
  | { readonly kind: "drain" };

export type ToWorker =
  | { readonly kind: "setup"; readonly setup: WorkerSetup }
  | { readonly kind: "task"; readonly task: number; readonly what: WorkerTask }
  | { readonly kind: "identity"; readonly identity: CallIdentity }
  | { readonly kind: "seen"; readonly epoch: number }
  /** Milliseconds since the last freshness statement; not sent before the first. */
  | { readonly kind: "fresh"; readonly ageMs: number }
  /** Adds a unit to a held revision. */
  | { readonly kind: "unit"; readonly revision: Digest; readonly unit: SentUnit }
  | { readonly kind: "drop"; readonly revision: Digest }
  /** Sets the shadow candidate. undefined: none is evaluated. */
  | { readonly kind: "shadow"; readonly shadow: SentShadow | undefined }
  | { readonly kind: "app"; readonly app: AppRegistration | undefined }
  /**
   * What the application has applied of its service's journal. `isNew`: this replaces earlier reports. undefined: it
   * reports nothing.
   */
  | { readonly kind: "applied"; readonly report: AppliedReport | undefined; readonly isNew: boolean }
  | { readonly kind: "endpoints"; readonly service: string; readonly endpoints: readonly Endpoint[] }
  /** The number of proxies that share limits, and whether they receive each other's reports. */
  | { readonly kind: "sharing"; readonly members: number; readonly connected: boolean }
  /** The demand of another worker or proxy for shared limits. */
  | { readonly kind: "limits"; readonly peer: string; readonly origin: ReportOrigin; readonly report: LimitReport }
  /**
   * Comes with an accepted socket. `address`: the outside client, if its connections are counted. It is sent back in
   * `closed`.
   */
  | { readonly kind: "connection"; readonly listener: ListenerName; readonly address?: string }
  /** Replaces the mesh's ports in the process, which the setup stated first. */
  | { readonly kind: "mesh-ports"; readonly ports: readonly MeshPort[] }
  /** Says at how many workers the network of an outside client has connections to this listener. */
  | { readonly kind: "spread"; readonly listener: number; readonly address: string; readonly workers: number }
  | { readonly kind: "answer"; readonly question: number; readonly answer: Answered }
  /** Says which calls are to be shown from now on. */
  | { readonly kind: "taps"; readonly taps: readonly WantedTap[] }
  /** Tells the worker to end at once. */
  | { readonly kind: "close" };

/** "inbound", or the index of an outbound listener. */
export type ListenerName = "inbound" | number;

export type Question =
  | { readonly kind: "use-service"; readonly service: string }
  | { readonly kind: "hear-of-epoch"; readonly epoch: number; readonly peer: string }
  /** Asks for a service's endpoints. Answered when the first list was sent; later lists follow. */
  | { readonly kind: "follow-service"; readonly service: string }
  /** Encoded decisions to record, refusals that were only counted, and the number of decisions that found no room. */
  | {
      readonly kind: "record";
      readonly decisions: readonly Uint8Array[];
      readonly counts: readonly RefusalCount[];
      readonly dropped: number;
    }
  | JournalQuestion;

export type Answered =
  | { readonly ok: true; readonly value: boolean | JournalAnswer }
  | { readonly ok: false; readonly code: ErrorCode; readonly message: string };

export type FromWorker =
  /** Says that the worker's program runs. */
  | { readonly kind: "hello" }
  /** Confirms a task. `problem` says why it failed. */
  | {
      readonly kind: "done";
      readonly task: number;
      readonly problem: string | undefined;
      readonly value: unknown;
    }
  | { readonly kind: "question"; readonly question: number; readonly what: Question }
  /** Says that a connection which was handed over has closed. */
  | { readonly kind: "closed"; readonly listener: ListenerName; readonly address?: string }
  /** Says that the socket of the application with this name refused a connection. */
  | { readonly kind: "refused"; readonly instance: string }
  /** An encoded report of calls that were asked for. */
  | { readonly kind: "tapped"; readonly report: Uint8Array }
  /** The worker's demand for shared limits. */
  | { readonly kind: "limits"; readonly scope: Limit["scope"]; readonly report: LimitReport };

/** One end of the line between the first process and a worker. Messages arrive in the order they were sent. */
export interface Line<Sent, Received> {
  /**
   * Sends a message. Never fails: `onEnd` reports when the other end is gone. A socket that is sent belongs to the
   * other end.
   */
  send(message: Sent, socket?: Socket): void;
  onMessage(listener: (message: Received, socket: Socket | undefined) => void): void;
}

/** The most open questions of one worker. */
export const questionsMax = 4096;
const verdicts: readonly Verdict[] = ["allowed", "denied", "unauthenticated", "limited", "routed", "unrouted"];

/**
 * Parses a worker's message. Fails with `invalid_record`: workers handle strangers' data, so their messages are
 * checked.
 */
export function readFromWorker(value: unknown): FromWorker {
  const message = fieldsOf(value);
  switch (message.kind) {
    case "hello":
      return { kind: "hello" };
    case "done": {
      const problem = message.problem === undefined ? undefined : text(message.problem);
      return { kind: "done", task: integer(message.task), problem, value: message.value };
    }
    case "question":
      return { kind: "question", question: integer(message.question), what: readQuestion(message.what) };
    case "closed":
      return {
        kind: "closed",
        listener: message.listener === "inbound" ? "inbound" : integer(message.listener),
        ...(message.address === undefined ? {} : { address: text(message.address) }),
      };
    case "refused":
      return { kind: "refused", instance: text(message.instance) };
    case "tapped":
      return { kind: "tapped", report: bytes(message.report) };
    case "limits": {
      const { scope } = message;
      if (scope !== "proxy" && scope !== "mesh") throw invalid("a scope");
      return { kind: "limits", scope, report: readReport(message.report) };
    }
    default:
      throw invalid("its kind");
  }
}

function readQuestion(value: unknown): Question {
  const question = fieldsOf(value);
  switch (question.kind) {
    case "use-service":
      return { kind: "use-service", service: label(question.service) };
    case "follow-service":
      return { kind: "follow-service", service: workload(question.service) };
    case "hear-of-epoch":
      return { kind: "hear-of-epoch", epoch: integer(question.epoch), peer: text(question.peer) };
    case "record": {
      const decisions = list(question.decisions).map(bytes);
      const counts = list(question.counts).map(readCount);
      return { kind: "record", decisions, counts, dropped: integer(question.dropped) };
    }
    default: {
      const about = readJournalQuestion(question, { text, bytes, integer });
      if (about === undefined) throw invalid("the question's kind");
      return about;
    }
  }
}

function readCount(value: unknown): RefusalCount {
  const { caller, method, calledMethod, rule, verdict, revision, count, fromMs, untilMs } = fieldsOf(value);
  const known = verdicts.find((one) => one === verdict);
  if (known === undefined) throw invalid("a verdict");
  const numbers = {
    revision: integer(revision),
    count: integer(count),
    fromMs: integer(fromMs),
    untilMs: integer(untilMs),
  };
  const called = calledMethod === undefined ? {} : { calledMethod: text(calledMethod) };
  return { caller: text(caller), method: text(method), ...called, rule: text(rule), verdict: known, ...numbers };
}

function readReport(value: unknown): LimitReport {
  const limits = list(fieldsOf(value).limits, reportedLimitsMax).map((one) => {
    const { limit, keys } = fieldsOf(one);
    return { limit: digest(limit), keys: list(keys, reportedKeysMax).map(readDemand) };
  });
  return { limits };
}

function readDemand(value: unknown): KeyDemand {
  const { key, perSecond, released } = fieldsOf(value);
  return { key: digest(key), perSecond: amount(perSecond), released: amount(released) };
}

/** Returns the error that a question was answered with. */
export function errorOf(answer: Answered & { readonly ok: false }): AshlarError {
  return new AshlarError(errorCodes.includes(answer.code) ? answer.code : "internal", answer.message);
}

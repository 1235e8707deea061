/** Decides which calls are traced and logged, by policy and by their parents' decision, and does so when they end. */
import { status } from "@grpc/grpc-js";
import type { CompiledTelemetry, CompiledTraces } from "../../core/policy/compiled-telemetry.js";
import type { Clock } from "../../runtime/clock.js";
import type { FieldBlock } from "../http2/field-block.js";
import type { CallTap } from "../look/call-tap.js";
import type { CallPolicy, EvaluatedPolicy } from "../ports.js";
import type { CallWatch } from "../proxy/call-watch.js";
import type { Call } from "../proxy/forward/call.js";
import type { CallTable } from "../status/call-table.js";
import type { AccessLog } from "./access-log.js";
import { Rate } from "./rate.js";
import { SeenCall } from "./seen-call.js";
import { isServerError, type SpanResource, spanOf } from "./span.js";
import type { SpanExport } from "./span-export.js";

export interface CallTelemetryDeps {
  readonly policy: CallPolicy;
  readonly clock: Clock;
  /** Returns random numbers, uniform in [0, 1). */
  readonly draw: () => number;
  readonly random: (bytes: number) => Buffer;
  /** Sends spans. undefined: there is no receiver. */
  readonly spans: SpanExport | undefined;
  readonly log: AccessLog;
  readonly table: Pick<CallTable, "exemplify">;
  readonly resource: SpanResource;
  readonly productVersion: string;
}

/** How many failed or refused calls are traced and logged per second regardless of the share. */
const badPerSecond = 100;
/** How many outside clients' calls are traced per second because the client asks for it and policy allows it. */
const clientMarksPerSecond = 100;
const randomBytesKept = 4096;
const flagsAt = 54;
const none: CompiledTelemetry = Object.freeze({ traces: undefined, accessLog: undefined });

export class CallTelemetry implements CallWatch {
  readonly #deps: CallTelemetryDeps;
  readonly #badSpans = new Rate(badPerSecond);
  readonly #badLines = new Rate(badPerSecond);
  readonly #clientMarks = new Rate(clientMarksPerSecond);
  #linesDropped = 0;
  /** The settings of the service that was called last, cached because most calls go to few services. */
  #of: EvaluatedPolicy | undefined;
  #service = "";
  #plan: CompiledTelemetry = none;
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;

  /** Shows calls to operators who asked for them. null: nobody did. */
  tap: Pick<CallTap, "offer"> | null = null;

  constructor(deps: CallTelemetryDeps) {
    this.#deps = deps;
  }

  /** How many lines about refusals were dropped because they exceeded the bound. */
  get linesDropped(): number {
    return this.#linesDropped;
  }

  begun(call: Call, fields: FieldBlock, traceparent: number): boolean {
    const { traces, accessLog } = this.#planFor(call.service);
    if (traces === undefined && accessLog === undefined && traceparent < 0) return false;
    const isMarked = traceparent >= 0 && isSampledAt(fields, traceparent);
    const isStart = traceparent < 0 || (call.isFromClient && !(isMarked && this.#takesMark(traces)));
    const isSampled = isStart ? traces !== undefined && this.#isDrawn(traces.shareOf(call.method)) : isMarked;
    const isTraced = isSampled && (this.#deps.spans !== undefined || isStart);
    const isUnmarked = isStart && isMarked && !isTraced;
    const isLogged = accessLog !== undefined && this.#isDrawn(accessLog.shareOf(call.method));
    if (!isTraced && !isLogged && !isUnmarked) return false;
    const parent = traceparent < 0 ? "" : fields.valueText(traceparent);
    if (isUnmarked) {
      fields.drop(traceparent);
      fields.add("traceparent", `00-${parent.slice(3, 52)}-00`);
    }
    if (!isTraced && !isLogged) return isUnmarked;
    const traceId = parent === "" ? (isTraced ? this.#id(16) : "") : parent.slice(3, 35);
    const spanId = isTraced ? this.#id(8) : "";
    const seen = new SeenCall({ traceId, spanId, parentId: parent.slice(36, 52) }, isLogged, this.#nowMs);
    call.seen = seen;
    call.observe(seen);
    if (!isTraced) return isUnmarked;
    if (traceparent >= 0) fields.drop(traceparent);
    fields.add("traceparent", `00-${traceId}-${spanId}-01`);
    return true;
  }

  ended(call: Call): void {
    if (this.tap !== null) this.tap.offer(call);
    const { seen, reason, code } = call;
    if (seen === null && reason === undefined && (code === status.OK || !isServerError(code))) return;
    this.#finish(call, seen instanceof SeenCall ? seen : undefined);
  }

  #finish(call: Call, seen: SeenCall | undefined): void {
    const { spans, clock, log, table } = this.#deps;
    const nowMs = clock.nowMs();
    const { accessLog } = this.#planFor(call.service);
    const parent = seen === undefined ? call.header("traceparent") : undefined;
    const ids = seen ?? this.#idsUnder(parent);
    const isSpanned = spans !== undefined && (seen === undefined ? this.#admitsSpan() : seen.spanId !== "");
    if (spans !== undefined && isSpanned) {
      spans.offer(spanOf(call, ids, seen?.attempts ?? [], nowMs, call.header("tracestate"), this.#deps));
      table.exemplify(call, ids.traceId);
    }
    const isRefused = call.reason !== undefined && accessLog?.logsRefused === true;
    if (seen?.isLogged !== true && !isRefused) return;
    if (seen?.isLogged !== true && !this.#badLines.take(clock.monotonicMs())) this.#linesDropped++;
    else log.write(call, accessLog, nowMs, isSpanned || parent !== undefined ? ids.traceId : (seen?.traceId ?? ""));
  }

  /** Whether an outside client's request to trace its call is followed now. */
  #takesMark(traces: CompiledTraces | undefined): boolean {
    return traces?.takesClientsMark === true && this.#clientMarks.take(this.#deps.clock.monotonicMs());
  }

  #isDrawn(share: number): boolean {
    return share > 0 && this.#deps.draw() < share;
  }

  #admitsSpan(): boolean {
    const isAdmitted = this.#badSpans.take(this.#deps.clock.monotonicMs());
    if (!isAdmitted) this.#deps.spans?.noteDropped();
    return isAdmitted;
  }

  /** Creates the ids of a span for a call whose trace was not decided while it was open. */
  #idsUnder(parent: string | undefined) {
    const spanId = this.#id(8);
    if (parent === undefined) return { traceId: this.#id(16), spanId, parentId: "" };
    return { traceId: parent.slice(3, 35), spanId, parentId: parent.slice(36, 52) };
  }

  readonly #nowMs = (): number => this.#deps.clock.monotonicMs();

  #planFor(service: string): CompiledTelemetry {
    const { current } = this.#deps.policy;
    if (current === this.#of && service === this.#service) return this.#plan;
    if (current === undefined || service === "") return none;
    const plan = current.telemetry(service);
    if (current.unit(service) === undefined) return plan; // its unit may come while this policy is in force
    this.#of = current;
    this.#service = service;
    this.#plan = plan;
    return plan;
  }

  /** Returns so many random bytes in hexadecimal digits. */
  #id(bytes: number): string {
    if (this.#at + bytes > this.#bytes.length) {
      this.#bytes = this.#deps.random(randomBytesKept);
      this.#at = 0;
    }
    const text = this.#bytes.toString("hex", this.#at, this.#at + bytes);
    this.#at += bytes;
    return text;
  }
}

/** Whether a traceparent, whose form was checked, says that its trace is sampled: the lowest bit of the flags. */
function isSampledAt(fields: FieldBlock, traceparent: number): boolean {
  const digit = fields.bytes[fields.valueStart(traceparent) + flagsAt] as number;
  return (digit & 1) === (digit < 0x61 ? 1 : 0); // "1" is 0x31, and "b" is 0x62
}

/** A call as a span, in the form that OpenTelemetry's exporters read. */
import { status } from "@grpc/grpc-js";
import type { CallFacts } from "../proxy/forward/call-facts.js";
import type { SeenAttempt } from "./seen-call.js";

type HrTime = [number, number];
type Attributes = Record<string, string | number>;

interface SpanContext {
  readonly traceId: string;
  readonly spanId: string;
  readonly traceFlags: number;
  readonly isRemote?: boolean;
  readonly traceState?: { serialize(): string };
}

/** The part of OpenTelemetry's ReadableSpan that the exporters read. */
export interface ExportedSpan {
  readonly name: string;
  readonly kind: number;
  spanContext(): SpanContext;
  readonly parentSpanContext: SpanContext | undefined;
  readonly startTime: HrTime;
  readonly endTime: HrTime;
  readonly duration: HrTime;
  readonly ended: true;
  readonly status: { readonly code: number; readonly message?: string };
  readonly attributes: Attributes;
  readonly links: readonly never[];
  readonly events: readonly { readonly name: string; readonly time: HrTime; readonly attributes: Attributes }[];
  readonly resource: SpanResource;
  readonly instrumentationScope: { readonly name: string; readonly version: string };
  readonly droppedAttributesCount: number;
  readonly droppedEventsCount: number;
  readonly droppedLinksCount: number;
}

/** What all spans of a process share. It is one object, by which exporters group spans. */
export interface SpanResource {
  readonly attributes: Attributes;
  readonly asyncAttributesPending: false;
}

export interface SpanIds {
  readonly traceId: string;
  readonly spanId: string;
  /** The parent span's id. "": the trace begins here. */
  readonly parentId: string;
}

const spanKind = { server: 1, client: 2 } as const;
const spanStatus = { unset: 0, error: 2 } as const;
const sampled = 1;
const methodMax = 256;

/**
 * The codes that are a server's fault (OpenTelemetry, "gRPC: span status"). A client's span has failed with any code
 * but OK.
 */
const serverErrors: ReadonlySet<number> = new Set([
  status.UNKNOWN,
  status.DEADLINE_EXCEEDED,
  status.UNIMPLEMENTED,
  status.INTERNAL,
  status.UNAVAILABLE,
  status.DATA_LOSS,
]);

export function isServerError(code: number): boolean {
  return serverErrors.has(code);
}

/** Returns the span of a call. `endedMs`: wall-clock time. `state`: the call's tracestate, or undefined. */
export function spanOf(
  call: CallFacts,
  ids: SpanIds,
  attempts: readonly SeenAttempt[],
  endedMs: number,
  state: string | undefined,
  shared: { readonly resource: SpanResource; readonly productVersion: string },
): ExportedSpan {
  const startedMs = endedMs - call.tookMs;
  const isFailed = call.direction === "outbound" ? call.code !== status.OK : isServerError(call.code);
  const traceState = state === undefined ? {} : { traceState: { serialize: () => state } };
  const context = { traceId: ids.traceId, spanId: ids.spanId, traceFlags: sampled, ...traceState };
  return {
    name: call.method.slice(0, methodMax),
    kind: call.direction === "inbound" ? spanKind.server : spanKind.client,
    spanContext: () => context,
    parentSpanContext:
      ids.parentId === ""
        ? undefined
        : { traceId: ids.traceId, spanId: ids.parentId, traceFlags: sampled, isRemote: true },
    startTime: timeOf(startedMs),
    endTime: timeOf(endedMs),
    duration: timeOf(call.tookMs),
    ended: true,
    status: isFailed
      ? { code: spanStatus.error, message: call.reason ?? status[call.code] ?? "" }
      : { code: spanStatus.unset },
    attributes: attributesOf(call),
    links: [],
    events: attempts.map(({ endpoint, atMs, outcome }, index) => ({
      name: "attempt",
      time: timeOf(startedMs + atMs),
      attributes: { "ashlar.attempt": index + 1, "ashlar.endpoint": endpoint, "ashlar.outcome": outcome ?? "" },
    })),
    resource: shared.resource,
    instrumentationScope: { name: "ashlar", version: shared.productVersion },
    droppedAttributesCount: 0,
    droppedEventsCount: Math.max(0, call.attempts - attempts.length),
    droppedLinksCount: 0,
  };
}

function attributesOf(call: CallFacts): Attributes {
  const { method, code, reason, decision, version, lastEndpoint: endpoint } = call;
  const slash = method.indexOf("/");
  const address = endpoint.slice(endpoint.indexOf(" ") + 1);
  return {
    "rpc.system": "grpc",
    "rpc.service": method.slice(0, Math.min(slash, methodMax)),
    "rpc.method": method.slice(slash + 1, slash + 1 + methodMax),
    "rpc.grpc.status_code": code,
    "ashlar.caller": call.caller,
    "ashlar.service": call.service,
    "ashlar.revision": call.judgedBy,
    "ashlar.attempts": call.attempts,
    ...(version === "" ? {} : { "ashlar.version": version }),
    ...(decision === undefined ? {} : { "ashlar.decision": decision }),
    ...(reason === undefined ? {} : { "ashlar.reason": reason }),
    ...(address === "" ? {} : { "network.peer.address": address }),
  };
}

function timeOf(ms: number): HrTime {
  const seconds = Math.floor(ms / 1000);
  return [seconds, Math.round((ms - seconds * 1000) * 1e6)];
}

/** The content of a line of the access log and of tap. */
import { status } from "@grpc/grpc-js";
import type { AnswerReason } from "../proxy/answer.js";
import type { CallFacts } from "../proxy/forward/call-facts.js";
import type { Direction } from "../proxy/proxy-metrics.js";
import { callerName } from "../status/call-table.js";

/** A call that is over. Values that it does not have are left out. */
export interface CallLine {
  /** When the call ended, in ISO 8601. */
  readonly time: string;
  readonly direction: Direction;
  readonly caller: string;
  readonly service: string;
  readonly method: string;
  /** The version of the instance that was called last. "": no instance was called. */
  readonly version: string;
  /** The name of the gRPC status. */
  readonly code: string;
  /** Why the proxy itself answered. Left out: the upstream answered. */
  readonly reason?: AnswerReason;
  readonly tookMs: number;
  readonly revision: number;
  readonly decision?: string;
  readonly attempts: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** The address of the called instance. */
  readonly endpoint?: string;
  readonly traceId?: string;
}

/** The longest text in a line, since callers choose method names. */
const textMax = 512;

/** Returns the line of a call. `traceId`: "" if it is not known. */
export function callLine(call: CallFacts, nowMs: number, traceId: string): CallLine {
  const {
    direction,
    caller,
    service,
    method,
    version,
    code,
    reason,
    tookMs,
    attempts,
    decision,
    lastEndpoint: endpoint,
  } = call;
  return {
    time: new Date(nowMs).toISOString(),
    direction,
    caller: callerName(caller),
    service,
    method: method.slice(0, textMax),
    version,
    code: status[code] ?? String(code),
    ...(reason === undefined ? {} : { reason }),
    tookMs: Math.round(tookMs * 1000) / 1000,
    revision: call.judgedBy,
    ...(decision === undefined ? {} : { decision }),
    attempts,
    requestBytes: call.requestBytes,
    responseBytes: call.responseBytes,
    ...(endpoint === "" ? {} : { endpoint: endpoint.slice(endpoint.indexOf(" ") + 1) }),
    ...(traceId === "" ? {} : { traceId }),
  };
}

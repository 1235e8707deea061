/** Which calls leave traces and lines in the access log, compiled for proxies. */
import { wholeShare } from "../kinds/amounts.js";
import type { AccessLog, MethodShare, Telemetry, Traces } from "../kinds/telemetry/telemetry.js";

export interface CompiledTraces {
  /** Returns the share of calls to the method, from 0 to 1, that are traced if they have no parent. */
  shareOf(method: string): number;
  /** True if an outside client's sampling mark decides about its call instead of the share. */
  readonly takesClientsMark: boolean;
}

export interface CompiledAccessLog {
  /** Returns the share of calls to the method, from 0 to 1, that have a line. */
  shareOf(method: string): number;
  /** True if every call that the proxy refused or answered itself gets a line. */
  readonly logsRefused: boolean;
  /** Headers whose values lines show, and headers of which lines only show that they were present. In lower case. */
  readonly headers: readonly string[];
  readonly redact: readonly string[];
}

/** A service's telemetry; a field is undefined if the policy does not state it. */
export interface CompiledTelemetry {
  readonly traces: CompiledTraces | undefined;
  readonly accessLog: CompiledAccessLog | undefined;
}

export const noTelemetry: CompiledTelemetry = Object.freeze({ traces: undefined, accessLog: undefined });

/** Headers with credentials. No policy can have their values logged. */
const alwaysRedacted = ["authorization", "cookie", "proxy-authorization"] as const;

export function compileTelemetry(telemetry: Telemetry | undefined): CompiledTelemetry {
  const { traces, accessLog } = telemetry ?? {};
  if (traces === undefined && accessLog === undefined) return noTelemetry;
  return Object.freeze({
    traces: traces && { shareOf: shares(traces), takesClientsMark: traces.clients === "mark" },
    accessLog: accessLog && compileLog(accessLog),
  });
}

/** Returns the service's telemetry, completed by the mesh's. */
export function telemetryWith(own: CompiledTelemetry, mesh: CompiledTelemetry): CompiledTelemetry {
  if (own === noTelemetry) return mesh;
  if (mesh === noTelemetry) return own;
  return { traces: own.traces ?? mesh.traces, accessLog: own.accessLog ?? mesh.accessLog };
}

function compileLog(log: AccessLog): CompiledAccessLog {
  const redact = [
    ...new Set([...log.redact, ...log.headers.filter((name) => alwaysRedacted.some((one) => one === name))]),
  ];
  const headers = log.headers.filter((name) => !redact.includes(name));
  return { shareOf: shares(log), logsRefused: log.refused === "all", headers, redact };
}

function shares({ share, byMethod }: Traces | AccessLog): (method: string) => number {
  if (byMethod.length === 0) return () => share / wholeShare;
  return (method) => {
    const own = byMethod.find((one) => names(one, method));
    return (own ?? { share }).share / wholeShare;
  };
}

function names({ methods }: MethodShare, method: string): boolean {
  if (methods.length === 0) return true;
  const service = `${method.slice(0, method.indexOf("/"))}/*`;
  return methods.some((pattern) => pattern === "*" || pattern === method || pattern === service);
}

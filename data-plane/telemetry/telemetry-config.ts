/** The settings of a proxy's traces and access log. */
import { resolve } from "node:path";
import type { ConfigReader } from "../../runtime/config.js";
import type { TelemetryOptions } from "./open-telemetry.js";

/** Reads the settings and reports errors in them to `read`. */
export function readTelemetry(read: ConfigReader, cwd: string): TelemetryOptions {
  return { otlp: readOtlp(read), accessLog: readAccessLog(read, cwd) };
}

function readOtlp(read: ConfigReader): string | undefined {
  const text = read.text("otlp");
  if (text === undefined || isReceiver(text)) return text;
  read.problem(
    `--otlp: expected grpc://HOST:PORT or grpcs:// for OTLP/gRPC, http:// or https:// for OTLP/HTTP, got ${JSON.stringify(text)}`,
  );
  return undefined;
}

function isReceiver(text: string): boolean {
  return /^(grpcs?|https?):$/.test(URL.canParse(text) ? new URL(text).protocol : "");
}

function readAccessLog(read: ConfigReader, cwd: string): string {
  const path = read.text("access-log") ?? "-";
  return path === "-" ? path : resolve(cwd, path);
}

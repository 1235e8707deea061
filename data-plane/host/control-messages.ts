/**
 * The requests of `ashlar proxy add`, `remove` and `list` to a running proxy, and its answers: one line of JSON each.
 */
import { dirname, join } from "node:path";
import { AshlarError, type ErrorCode, errorCodes } from "../../core/errors.js";
import type { ServiceSettings } from "./service-settings.js";
import { readSettings } from "./services-file.js";

/** The longest line of either side, in characters. */
export const lineCharactersMax = 256 * 1024;

export type ControlRequest =
  /**
   * Starts a proxy of this service. The token is sent as text, because its file may be readable for the caller alone.
   */
  | { readonly kind: "add"; readonly settings: ServiceSettings; readonly token: string | undefined }
  | { readonly kind: "remove"; readonly service: string }
  | { readonly kind: "list" };

/** A service, as `list` shows it. */
export interface ListedProxy {
  readonly service: string;
  readonly state: string;
  /** Why the service does not run; "" if it does. */
  readonly why: string;
  /** The addresses by name: "inbound" has HOST:PORT, "agent" unix:PATH. */
  readonly listening: Readonly<Record<string, string>>;
}

export type ControlReply =
  | { readonly kind: "done"; readonly services: readonly ListedProxy[]; readonly note: string }
  | { readonly kind: "refused"; readonly code: ErrorCode; readonly message: string };

/** Returns the path of the socket on which the proxy of a data folder accepts requests. */
export function controlPath(dataDir: string): string {
  return join(dataDir, "run", "control.sock");
}

export function controlFolder(dataDir: string): string {
  return dirname(controlPath(dataDir));
}

/** Parses a request. Fails with `invalid_argument`. */
export function parseControlRequest(line: string): ControlRequest {
  const { kind, settings, token, service } = parseObject(line);
  switch (kind) {
    case "add":
      if (token !== undefined && typeof token !== "string") break;
      return { kind, settings: readSettings(settings, "ashlar proxy add"), token };
    case "remove":
      if (typeof service !== "string") break;
      return { kind, service };
    case "list":
      return { kind };
  }
  throw new AshlarError("invalid_argument", "this version of the proxy does not know what it was asked");
}

/** Parses an answer. Fails with `invalid_record`. */
export function parseControlReply(line: string): ControlReply {
  const { kind, code, message, services, note } = parseObject(line);
  if (kind === "refused") {
    const known = errorCodes.find((one) => one === code) ?? "internal";
    return { kind, code: known, message: String(message) };
  }
  if (kind === "done" && Array.isArray(services))
    return { kind, services: services as readonly ListedProxy[], note: typeof note === "string" ? note : "" };
  throw new AshlarError("invalid_record", "the proxy answers in a way that this version does not know");
}

function parseObject(line: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch {}
  throw new AshlarError("invalid_argument", "expected one object of JSON on a line");
}

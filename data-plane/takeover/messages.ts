/**
 * The messages between a proxy and its successor on the same data folder, one line of JSON each. The successor sends a
 * request and waits for the answer before it sends the next.
 */
import { AshlarError } from "../../core/errors.js";
import { type HostPort, parseSocketAddress } from "../../runtime/config.js";
import type { AppRegistration } from "../ports.js";
import { render } from "../render-address.js";

/** The version of these messages. Proxies of other versions refuse each other. */
export const takeoverVersion = 1;

export type Request =
  /** Hold still: write nothing and say nothing while I start. */
  | { readonly kind: "hold"; readonly version: number; readonly service: string }
  /** Pass me the listening socket of `name`. */
  | { readonly kind: "socket"; readonly name: string; readonly address: HostPort }
  /** I serve: the folder and the name are mine from now on. */
  | { readonly kind: "take" }
  /** My sockets are in place: drain. */
  | { readonly kind: "drain" };

export type Reply =
  | { readonly kind: "refused"; readonly why: string }
  | { readonly kind: "held"; readonly counter: number; readonly app: AppRegistration | undefined }
  /** The answer to a request for a socket. If `passed`, the socket comes with it. */
  | { readonly kind: "socket"; readonly passed: boolean }
  | { readonly kind: "yours" }
  | { readonly kind: "draining" };

export function encodeMessage(message: Request | Reply): string {
  if (message.kind !== "held" || message.app === undefined) return JSON.stringify(message);
  const { instance, target } = message.app;
  return JSON.stringify({ ...message, app: { instance, target: render(target) } });
}

/** Parses a request. Fails with `invalid_record`. */
export function parseRequest(line: string): Request {
  const { kind, version, service, name, address } = parseObject(line);
  switch (kind) {
    case "hold":
      if (typeof service !== "string" || typeof version !== "number") break;
      return { kind, version, service };
    case "socket": {
      const { host, port } = (address ?? {}) as Partial<HostPort>;
      if (typeof name !== "string" || typeof host !== "string" || typeof port !== "number") break;
      return { kind, name, address: { host, port } };
    }
    case "take":
    case "drain":
      return { kind };
  }
  throw unknownMessage(line);
}

/** Parses a reply. Fails with `invalid_record`. */
export function parseReply(line: string): Reply {
  const { kind, why, counter, app, passed } = parseObject(line);
  switch (kind) {
    case "refused":
      return { kind, why: String(why) };
    case "held":
      if (typeof counter !== "number" || !Number.isSafeInteger(counter)) break;
      return { kind, counter, app: parseApp(app) };
    case "socket":
      return { kind, passed: passed === true };
    case "yours":
    case "draining":
      return { kind };
  }
  throw unknownMessage(line);
}

function parseApp(app: unknown): AppRegistration | undefined {
  if (typeof app !== "object" || app === null) return undefined;
  const { instance, target } = app as { readonly instance?: unknown; readonly target?: unknown };
  const address = typeof target === "string" ? parseSocketAddress(target) : undefined;
  return typeof instance === "string" && address !== undefined ? { instance, target: address } : undefined;
}

function parseObject(line: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch {}
  throw unknownMessage(line);
}

function unknownMessage(line: string): AshlarError {
  return new AshlarError(
    "invalid_record",
    `a message of a takeover that this version does not know: ${line.slice(0, 80)}`,
  );
}

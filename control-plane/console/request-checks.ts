/**
 * Checks of a request before anything is done for it: it must use one of our names, and no other site may have made it.
 */
import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import { AshlarError } from "../../core/errors.js";

/** The console's own names and scheme, which requests must match. */
export interface ConsolePlace {
  readonly isTls: boolean;
  /** Returns whether the console answers to a host name, in lower case and without a port. */
  answersTo(name: string): boolean;
}

/**
 * Returns the host in the Host field, without its port. Any address is accepted, because an address cannot be rebound
 * to another site's name; of names, only those of the console. Fails with `denied`.
 */
export function requireHost({ headers }: IncomingMessage, place: ConsolePlace): string {
  const host = hostNameOf(headers.host ?? "");
  if (host === undefined) throw new AshlarError("denied", "the Host of the request is no host name or address");
  if (isIP(host) !== 0 || host === "localhost" || place.answersTo(host)) return host;
  throw new AshlarError(
    "denied",
    `this console does not answer to the name ${host}: start \`ashlar up\` with --console-host ${host} if it is its name`,
  );
}

function hostNameOf(field: string): string | undefined {
  const [, bracketed, plain] = /^(?:\[([0-9a-fA-F:.]{2,45})\]|([A-Za-z0-9._-]{1,253}))(?::\d{1,5})?$/.exec(field) ?? [];
  if (bracketed !== undefined) return isIP(bracketed) === 6 ? bracketed : undefined;
  return plain?.toLowerCase();
}

/** Checks the Origin that browsers send with every POST; a request without one is refused. Fails with `denied`. */
export function requireOwnOrigin({ headers }: IncomingMessage, { isTls }: ConsolePlace): void {
  const own = `${isTls ? "https" : "http"}://${headers.host?.toLowerCase()}`;
  if (headers.origin?.toLowerCase() !== own)
    throw new AshlarError("denied", `a POST has to come from the console's own pages, with Origin: ${own}`);
  requireSameSite(headers["sec-fetch-site"], ["same-origin"]);
}

/** Checks requests for data, which other sites may not load for any purpose. Fails with `denied`. */
export function requireOwnFetch({ headers }: IncomingMessage): void {
  requireSameSite(headers["sec-fetch-site"], ["same-origin", "none"]);
}

function requireSameSite(site: string | string[] | undefined, accepted: readonly string[]): void {
  if (site === undefined || (typeof site === "string" && accepted.includes(site))) return;
  throw new AshlarError("denied", "this request was made by another site");
}

/** Returns the value of a cookie, or undefined if there is none or more than one. */
export function cookieOf({ headers }: IncomingMessage, name: string): string | undefined {
  const found = (headers.cookie ?? "")
    .split(";")
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${name}=`));
  return found.length === 1 ? found[0]?.slice(name.length + 1) : undefined;
}

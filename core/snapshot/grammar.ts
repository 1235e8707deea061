/** The grammars of values in policy, for files and for bytes. */
import { isWorkload, parseSpiffeId, type SpiffeId } from "../identity.js";
import { isForwardedHeader, isReservedHeader } from "../wire/headers.js";

const methodGrammar = /^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\/[A-Za-z_]\w*$/;
const servicePatternGrammar = /^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\/\*$/;
const versionGrammar = /^[A-Za-z0-9._-]{1,63}$/;
const headerNameGrammar = /^[a-z0-9_.-]{1,128}$/;
const headerValueGrammar = /^[\x21-\x7e]([\x20-\x7e]{0,4094}[\x21-\x7e])?$/;
const hopByHop: ReadonlySet<string> = new Set([
  "connection",
  "host",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);
const ofTheCallItself: ReadonlySet<string> = new Set([
  ...["content-length", "content-type", "content-encoding", "user-agent", "traceparent", "tracestate"],
]);
/** The most characters of a method in policy. */
export const methodLengthMax = 512;

/** The most bytes of an encoded unit. */
export const unitBytesMax = 512 * 1024;
/** The longest timeout of a route, in milliseconds. */
export const timeoutMsMax = 24 * 60 * 60 * 1000;
/**
 * The shortest `maxStaleness` of a route, in milliseconds. Statements about the heads come every three seconds; with a
 * bound of less than three of them, one late statement would make calls fail.
 */
export const stalenessMsMin = 10_000;
/** The longest `maxStaleness` of a route, in milliseconds. */
export const stalenessMsMax = 24 * 60 * 60 * 1000;
/** The largest weight of a target. */
export const weightMax = 1_000_000;

/** The most audiences of one issuer, and the most claims that are required or forwarded. */
export const issuerTextsMax = 16;
const audienceGrammar = /^[\x21-\x7e]{1,256}$/;
const claimGrammar = /^[\x21-\x7e]{1,128}$/;

/** Returns whether `text` can be an audience of tokens: 1 to 256 printable ASCII characters without spaces. */
export function isAudience(text: string): boolean {
  return audienceGrammar.test(text);
}

/** Returns whether `text` can be the name of a claim: 1 to 128 printable ASCII characters without spaces. */
export function isClaimName(text: string): boolean {
  return claimGrammar.test(text);
}

/** Returns whether `text` is "package.Service/Method" as gRPC has it, without the slash in front. */
export function isMethod(text: string): boolean {
  return text.length <= methodLengthMax && methodGrammar.test(text);
}

/** Returns whether `text` is "package.Service/Method", "package.Service/*" or "*". */
export function isMethodPattern(text: string): boolean {
  return text === "*" || isMethod(text) || (text.length <= methodLengthMax && servicePatternGrammar.test(text));
}

/** Returns whether `text` names a version as a join token may. */
export function isVersion(text: string): boolean {
  return versionGrammar.test(text);
}

/** Returns whether `text` names callers: a service of the mesh, a SPIFFE ID in full, or "*". */
export function isCaller(text: string): boolean {
  return text === "*" || isWorkload(text) || findSpiffeId(text) !== undefined;
}

/** Returns whether `text` names an outside client as gateways do: by a URI, or by the hash of its public key. */
export function isClientName(text: string): boolean {
  return (
    /^sha256:[0-9a-f]{64}$/.test(text) || (text.length <= 2048 && /^(?!sha256:)[a-z][a-z0-9+.-]*:[!-~]+$/.test(text))
  );
}

/** Returns `text` as a SPIFFE ID, or undefined if it is none. */
export function findSpiffeId(text: string): SpiffeId | undefined {
  if (!text.startsWith("spiffe://")) return undefined;
  try {
    return parseSpiffeId(text);
  } catch {
    return undefined;
  }
}

/** Returns whether `name` is the name of a header in lower case; pseudo-headers are none. */
export function isHeaderName(name: string): boolean {
  return headerNameGrammar.test(name);
}

/** Returns why a route may not match the header `name`, or undefined if it may. */
export function whyNotMatchable(name: string): string | undefined {
  if (name.startsWith(":")) return "pseudo-headers cannot be matched; use methods";
  if (name !== name.toLowerCase()) return `header names are lower case: "${name.toLowerCase().slice(0, 128)}"`;
  if (!headerNameGrammar.test(name)) return "not a header name";
  if (name.startsWith("grpc-")) return "grpc- headers belong to gRPC itself";
  if (name.endsWith("-bin")) return "binary (-bin) headers cannot be compared";
  if (isReservedHeader(name)) return "it is removed from what applications send";
  if (isForwardedHeader(name)) return "anybody may say it of anybody: who calls is proved by certificates";
  if (hopByHop.has(name)) return "it is about one connection and not about the call";
  return undefined;
}

/** Returns why a route may not set, add or remove the header `name`, or undefined if it may. */
export function whyNotChangeable(name: string): string | undefined {
  if (name.startsWith(":")) return "pseudo-headers say where a call goes; use rewrite";
  if (name.endsWith("-bin")) return "binary (-bin) headers are the applications' own";
  if (ofTheCallItself.has(name)) return "it is about how the call is carried";
  return whyNotMatchable(name);
}

/** Returns whether `text` can be the value of a header: printable ASCII without spaces around it; may be empty. */
export function isHeaderValue(text: string): boolean {
  return text === "" || headerValueGrammar.test(text);
}

/** Returns the "package.Service" of a method or pattern, or "" if it has none. */
export function serviceOfMethod(method: string): string {
  const slash = method.indexOf("/");
  return slash < 0 ? "" : method.slice(0, slash);
}

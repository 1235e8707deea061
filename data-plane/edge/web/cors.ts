/** Decides which pages of other origins may call, and what they are told (Fetch, "CORS protocol"). */
import type { Exchange } from "./exchange.js";

const requestedBytesMax = 4096;
const nameList = /^[\w!#$%&'*+.^`|~-]+( ?, ?[\w!#$%&'*+.^`|~-]+)*$/;

/** What pages may do at a listener. */
export interface CorsRules {
  /** The origins whose pages may call; empty: none. */
  readonly origins: readonly string[];
  readonly maxAgeMs: number;
  /** The HTTP methods of calls. */
  readonly methods: readonly string[];
}

/**
 * Returns whether the request may continue: it comes from no page, from a page of the listener's own host, or from a
 * listed origin, which is then set as `exchange.origin`. `ownOrigins`: the origins of the listener's own pages.
 */
export function admitOrigin(exchange: Exchange, rules: CorsRules, ownOrigins: readonly string[]): boolean {
  const said = exchange.request.headers.filter(([name]) => name === "origin").map(([, value]) => value);
  const [origin] = said;
  if (origin === undefined) return true;
  if (said.length > 1) return false;
  if (rules.origins.includes(origin)) {
    exchange.origin = origin;
    return true;
  }
  return ownOrigins.includes(origin);
}

/** Returns whether a browser asks what a page may do. */
export function isPreflight({ request }: Exchange): boolean {
  const has = (wanted: string): boolean => request.headers.some(([name]) => name === wanted);
  return request.method === "OPTIONS" && has("origin") && has("access-control-request-method");
}

/** Answers such a question for a page of an admitted origin. */
export function answerPreflight(exchange: Exchange, { maxAgeMs, methods }: CorsRules): void {
  const asked = exchange.header("access-control-request-headers") ?? "";
  const isList = asked.length <= requestedBytesMax && nameList.test(asked);
  exchange.refuse(204, [
    ["access-control-allow-methods", methods.join(", ")],
    ...(isList ? [["access-control-allow-headers", asked] as const] : []),
    ["access-control-max-age", String(Math.floor(maxAgeMs / 1000))],
    ["vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"],
  ]);
}

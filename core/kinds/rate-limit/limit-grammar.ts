/** The grammar of the parts of a rate limit, for files and for bytes. */
import { whyNotMatchable } from "../../snapshot/grammar.js";

interface Rate {
  readonly tokens: number;
  readonly periodMs: number;
}

/** The most limits about one service, over all its RateLimits. */
export const limitsMax = 32;
/** The most parts of one key. */
export const keyPartsMax = 4;
/** The most methods with a cost of their own in one limit. */
export const costsMax = 256;
/** The largest rate, burst and cost, in tokens. */
export const tokensMax = 10_000_000;

const periods = { s: 1000, m: 60_000, h: 3_600_000 } as const;
const claimNameGrammar = /^[A-Za-z0-9_.:/-]{1,128}$/;

/** A regular expression for rates, for the JSON Schema that editors use. */
export const ratePattern = "^[1-9][0-9]{0,7}/[smh]$";

/** Parses "100/s", "600/m" or "10000/h". Returns undefined if the text is no rate or exceeds `tokensMax`. */
export function parseRate(text: string): Rate | undefined {
  const match = /^([1-9][0-9]{0,7})\/([smh])$/.exec(text);
  if (match === null) return undefined;
  const tokens = Number(match[1]);
  const periodMs = periods[match[2] as keyof typeof periods];
  return tokens > tokensMax ? undefined : { tokens, periodMs };
}

/** Renders a rate as the text that `parseRate` reads. */
export function renderRate({ tokens, periodMs }: Rate): string {
  return `${tokens}/${periodMs === periods.s ? "s" : periodMs === periods.m ? "m" : "h"}`;
}

/** Returns whether a rate may be stated per period of this length: a second, a minute or an hour. */
export function isPeriod(periodMs: number): boolean {
  return Object.values<number>(periods).includes(periodMs);
}

/**
 * Returns the burst of a limit that states none, in tokens: the tokens that come back in a second, at least the highest
 * cost of a call.
 */
export function defaultBurst({ tokens, periodMs }: Rate, costs: readonly { readonly cost: number }[]): number {
  return Math.max(1, Math.ceil((tokens * 1000) / periodMs), ...costs.map(({ cost }) => cost));
}

/** Returns why `text` cannot be a part of a key, or undefined if it can. */
export function whyNotKeyPart(text: string): string | undefined {
  if (text === "caller" || text === "method") return undefined;
  if (text.startsWith("header:")) {
    const name = text.slice("header:".length);
    const why = whyNotMatchable(name);
    return why === undefined ? undefined : `header ${JSON.stringify(name.slice(0, 80))} cannot be read: ${why}`;
  }
  if (!text.startsWith("claim:")) return "";
  return claimNameGrammar.test(text.slice("claim:".length))
    ? undefined
    : "the name of a claim has 1 to 128 of A-Z, a-z, 0-9 and _ . : / -";
}

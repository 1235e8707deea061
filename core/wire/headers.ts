import type { Label } from "../label.js";

/** The most labels of a proxy. */
export const labelsMax = 32;

/** The names of Ashlar's own headers and trailers, in lower case as HTTP/2 requires. */
export const headerNames = {
  /** The SPIFFE ID of the caller; the inbound proxy sets it for the application. */
  caller: "ashlar-caller",
  /** The outside client whose certificate a gateway has verified; it is believed only from a gateway. */
  client: "ashlar-client",
  /** Claims of a verified token, as JSON in base64url, for applications that policy names. */
  claims: "ashlar-claims",
  /** In trailers: the revision that judged the call at the destination. */
  revision: "ashlar-revision",
  /** On refusals: the id of the decision. */
  decision: "ashlar-decision",
  /**
   * The sequence of a journaled write, for the application and in trailers. In an answer with code 10 (ABORTED) it is
   * the head of the order key.
   */
  sequence: "ashlar-sequence",
  /** The idempotency key of a journaled write, for the application. */
  key: "ashlar-key",
  /** From a caller: the last sequence of the order key that the caller knows. */
  expectedSequence: "ashlar-expected-sequence",
  /** From a caller: the sequence of a write that the answer to a read must reflect. */
  afterSequence: "ashlar-after-sequence",
  /**
   * From an operator who replays a journal: the write's sequence, caller and key (core/journal/replayed.ts). The
   * application receives "1".
   */
  replay: "ashlar-replay",
  /** Between proxies: the highest epoch that the sender has seen. It only prompts the receiver to look for it. */
  epoch: "ashlar-epoch",
  /** Between proxies: on an answer of the destination's proxy to a call that no application saw. */
  unprocessed: "ashlar-unprocessed",
  /** Between proxies: the sender's labels for conditions, "key=value" joined by ",". */
  labels: "ashlar-labels",
  /** On copies of calls that a route's mirror makes: the caller's proxy sets it, and the application receives it. */
  mirror: "ashlar-mirror",
  /** Between proxies: the method that the caller asked for, if a route's rewrite changed it. It is only recorded. */
  calledMethod: "ashlar-called-method",
} as const;

/** Renders labels for that header; keys and values contain neither "=" nor ",". */
export function renderLabels(labels: readonly Label[]): string {
  return labels.map(({ key, value }) => `${key}=${value}`).join(",");
}

/** Parses what `renderLabels` rendered. Malformed labels are ignored, and at most 32 are read. */
export function parseLabels(text: string): ReadonlyMap<string, string> {
  const labels = new Map<string, string>();
  for (const part of text.split(",", labelsMax)) {
    const at = part.indexOf("=");
    if (at > 0) labels.set(part.slice(0, at), part.slice(at + 1));
  }
  return labels;
}

/**
 * Returns whether a header or trailer is reserved: it is removed from whatever applications, outsiders and peers send.
 * Names with "_" and "." are reserved too, because servers that pass headers on as variables do not tell them from "-".
 */
export function isReservedHeader(name: string): boolean {
  return /^ashlar[-_.]/.test(name);
}

/**
 * Returns whether a header says for whom a call was forwarded. Services may pass such headers to each other, so proxies
 * let them through. A gateway removes them from calls of outsiders. They are never an identity: no policy reads them.
 */
export function isForwardedHeader(name: string): boolean {
  return name.startsWith("x-forwarded-");
}

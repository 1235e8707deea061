import type { Label } from "../label.js";

/** No proxy has more labels. */
export const labelsMax = 32;

/** Headers and trailers of Ashlar's own (all lower case, as HTTP/2 wants them). */
export const headerNames = {
  /** The SPIFFE ID of the caller; set by the inbound proxy for the application. */
  caller: "ashlar-caller",
  /** The outside client that a gateway has proved by its certificate; believed only from a gateway. */
  client: "ashlar-client",
  /** Claims of a verified token, as base64url of JSON; for applications that policy names. */
  claims: "ashlar-claims",
  /** In trailers: the revision that judged the call at the destination. */
  revision: "ashlar-revision",
  /** On refusals: the id of the decision. */
  decision: "ashlar-decision",
  /** The sequence of a journaled write, for the application and in trailers; with 10 it is the head of the order key. */
  sequence: "ashlar-sequence",
  /** The idempotency key of a journaled write, for the application. */
  key: "ashlar-key",
  /** From a caller: the last sequence of the order key that it knows. */
  expectedSequence: "ashlar-expected-sequence",
  /** From a caller: the sequence of a write that the answer of a read has to have in it. */
  afterSequence: "ashlar-after-sequence",
  /**
   * From an operator who replays a journal: the write's sequence, its caller and key (core/journal/replayed.ts). The
   * application gets "1".
   */
  replay: "ashlar-replay",
  /** Between proxies: the highest epoch that the sender has seen. A hint to look, never to choose. */
  epoch: "ashlar-epoch",
  /** Between proxies: on an answer of a destination's proxy of which no application saw anything. */
  unprocessed: "ashlar-unprocessed",
  /** Between proxies: the sender's own labels, "key=value" joined by ",", for conditions. */
  labels: "ashlar-labels",
  /** On copies of calls: set by the caller's proxy where a route mirrors, and the application gets it. */
  mirror: "ashlar-mirror",
  /** Between proxies: the method that the caller asked for, where a route's rewrite changed it; for records only. */
  calledMethod: "ashlar-called-method",
} as const;

/** Labels as that header has them; keys and values hold neither "=" nor ",". */
export function renderLabels(labels: readonly Label[]): string {
  return labels.map(({ key, value }) => `${key}=${value}`).join(",");
}

/** What `renderLabels` made; what is not well formed is left out. At most 32 labels. */
export function parseLabels(text: string): ReadonlyMap<string, string> {
  const labels = new Map<string, string>();
  for (const part of text.split(",", labelsMax)) {
    const at = part.indexOf("=");
    if (at > 0) labels.set(part.slice(0, at), part.slice(at + 1));
  }
  return labels;
}

/**
 * Removed from whatever applications, outsiders and peers send, in headers and trailers. "_" and "." too: servers that
 * hand headers on as variables make one name of them and "-".
 */
export function isReservedHeader(name: string): boolean {
  return /^ashlar[-_.]/.test(name);
}

/**
 * What somebody says of whom a call was forwarded for. Services tell each other such things and a mesh is no judge of
 * them, so these pass from proxy to proxy; where calls of outsiders come in, at a gateway, they are removed. Never an
 * identity: no policy asks for them.
 */
export function isForwardedHeader(name: string): boolean {
  return name.startsWith("x-forwarded-");
}

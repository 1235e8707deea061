/** Headers and trailers of Ashlar's own (all lower case, as HTTP/2 wants them). */
export const headerNames = {
  /** The SPIFFE ID of the caller; set by the inbound proxy for the application. */
  caller: "ashlar-caller",
  /** Claims of a verified token, as base64url of JSON; for applications that policy names. */
  claims: "ashlar-claims",
  /** In trailers: the revision that judged the call at the destination. */
  revision: "ashlar-revision",
  /** On refusals: the id of the decision. */
  decision: "ashlar-decision",
  /** Between proxies: the highest epoch that the sender has seen. A hint to look, never to choose. */
  epoch: "ashlar-epoch",
} as const;

/** Removed from whatever applications, outsiders and peers send. */
export function isReservedHeader(name: string): boolean {
  return name.startsWith("ashlar-") || name.startsWith("x-forwarded-");
}

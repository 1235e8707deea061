/** The parts of a response that an outcome stores. */
import type { JournalPlan } from "../../core/journal/plan.js";
import type { FleetWriter } from "../../core/wire/fleet.js";
import type { JournalOutcome } from "../../core/wire/journal/outcome.js";
import { type AppResponse, emptyResponse } from "./app-attempt.js";
import type { Hiding } from "./hide.js";

/** The application's own response to this call. */
export interface Told {
  readonly kind: "response";
  readonly sequence: number;
  readonly response: AppResponse;
}

/** The response that is recorded for a write that was not forwarded. */
export const notForwardedResponse: AppResponse = { code: 14, head: [], trailers: [], ...emptyResponse };

type Kept = "code" | "head" | "trailers" | "response" | "responseDigest" | "responseBytes" | "private";

/** Returns the part of an outcome about the application's answer. `hiding`: cuts private fields out of it. */
export function keptOf(
  { code, head, trailers, bytes, digest, length }: AppResponse,
  { keepsResponse, responseBytesMax }: Pick<JournalPlan, "keepsResponse" | "responseBytesMax">,
  hiding: Hiding | undefined,
): Pick<JournalOutcome, Kept> {
  const response = keepsResponse && length <= responseBytesMax ? bytes : undefined;
  const whole = { response, responseDigest: digest, responseBytes: length };
  const kept: ReturnType<Hiding["response"]> = hiding === undefined ? whole : hiding.response(whole, bytes);
  return {
    code,
    head,
    trailers,
    response: kept.response,
    responseDigest: kept.responseDigest,
    responseBytes: kept.responseBytes,
    private: kept.private,
  };
}

/**
 * Returns the outcome of an entry. Every field is written out: objects that are spread into another have no shape in
 * common, and each look at one of them is then slow.
 */
export function buildOutcome(
  { service, proxyId }: FleetWriter,
  about: Omit<JournalOutcome, Kept | "service" | "proxyId">,
  kept: Pick<JournalOutcome, Kept>,
): JournalOutcome {
  return {
    service,
    proxyId,
    timeMs: about.timeMs,
    entry: about.entry,
    entryDigest: about.entryDigest,
    code: kept.code,
    head: kept.head,
    trailers: kept.trailers,
    response: kept.response,
    responseDigest: kept.responseDigest,
    responseBytes: kept.responseBytes,
    confirms: about.confirms,
    notForwarded: about.notForwarded,
    behind: about.behind,
    private: kept.private,
  };
}

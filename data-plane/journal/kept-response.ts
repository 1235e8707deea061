/** What an outcome keeps of a response. */
import type { JournalPlan } from "../../core/journal/plan.js";
import type { JournalOutcome } from "../../core/wire/journal/outcome.js";
import { type AppResponse, emptyResponse } from "./app-attempt.js";
import type { Hiding } from "./hide.js";

/** The application's own response to this very call. */
export interface Told {
  readonly kind: "response";
  readonly sequence: number;
  readonly response: AppResponse;
}

/** What is recorded of a write that was not forwarded. */
export const notForwardedResponse: AppResponse = { code: 14, head: [], trailers: [], ...emptyResponse };

type Kept = "code" | "head" | "trailers" | "response" | "responseDigest" | "responseBytes" | "private";

/** The part of an outcome that says what the application answered. `hiding`: takes private fields out of it. */
export function keptOf(
  { code, head, trailers, bytes, digest, length }: AppResponse,
  { keepsResponse, responseBytesMax }: Pick<JournalPlan, "keepsResponse" | "responseBytesMax">,
  hiding: Hiding | undefined,
): Pick<JournalOutcome, Kept> {
  const response = keepsResponse && length <= responseBytesMax ? bytes : undefined;
  const kept = { response, responseDigest: digest, responseBytes: length };
  return { code, head, trailers, ...(hiding === undefined ? kept : hiding.response(kept, bytes)) };
}

/** What an outcome keeps of a response. */
import type { JournalPlan } from "../../core/journal/plan.js";
import type { JournalOutcome } from "../../core/wire/journal/outcome.js";
import { type AppResponse, emptyResponse } from "./app-attempt.js";

/** What is recorded of a write that was not forwarded. */
export const notForwardedResponse: AppResponse = { code: 14, head: [], trailers: [], ...emptyResponse };

/** The part of an outcome that says what the application answered. */
export function keptOf(
  { code, head, trailers, bytes, digest, length }: AppResponse,
  { keepsResponse, responseBytesMax }: Pick<JournalPlan, "keepsResponse" | "responseBytesMax">,
): Pick<JournalOutcome, "code" | "head" | "trailers" | "response" | "responseDigest" | "responseBytes"> {
  const response = keepsResponse && length <= responseBytesMax ? bytes : undefined;
  return { code, head, trailers, response, responseDigest: digest, responseBytes: length };
}

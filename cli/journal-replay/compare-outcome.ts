/** Compares what a target made of a write with what was recorded. */
import { createHash } from "node:crypto";
import type { ReplayedWrite } from "../../proto/gen/ashlar/v1/admin.js";
import type { Answer } from "./replay-client.js";

/** A write whose outcome is another one. */
export interface Divergence {
  readonly sequence: number;
  readonly method: string;
  readonly order: string;
  readonly why: string;
}

/**
 * Returns how the outcome differs; undefined: it is the same, or nobody knows what the application answered. `isWhole`: the
 * response's bytes count as well as the status.
 */
export function compareOutcome(write: ReplayedWrite, answer: Answer, isWhole: boolean): Divergence | undefined {
  const why = write.resolved ? undefined : whyOther(write, answer, isWhole);
  const { sequence, method, order } = write;
  return why === undefined ? undefined : { sequence, method, order, why };
}

function whyOther(write: ReplayedWrite, { code, message, response }: Answer, isWhole: boolean): string | undefined {
  if (code !== write.code) return `status ${code} instead of ${write.code}${message === "" ? "" : `: ${message}`}`;
  if (!isWhole) return undefined;
  if (write.responseKept)
    return write.response.equals(response)
      ? undefined
      : `another response, ${describe(response)} instead of ${describe(write.response)}`;
  if (write.responseDigest.length === 0) return undefined; // private fields of it cannot be read here
  const digest = createHash("sha256").update(response).digest();
  return digest.equals(write.responseDigest) ? undefined : `a response of another digest, ${describe(response)}`;
}

const describe = (bytes: Buffer): string =>
  `${bytes.length} bytes (${createHash("sha256").update(bytes).digest("hex").slice(0, 12)})`;

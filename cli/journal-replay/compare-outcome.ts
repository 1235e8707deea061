/** Compares the target's answer to a write with the recorded outcome. */
import { createHash } from "node:crypto";
import type { ReplayedWrite } from "../../proto/gen/ashlar/v1/admin.js";
import type { Answer } from "./replay-client.js";

/** A write whose answer differs from the recorded outcome. */
export interface Divergence {
  readonly sequence: number;
  readonly method: string;
  readonly order: string;
  readonly why: string;
}

/**
 * Returns how the answer differs; undefined: it is the same, or the recorded answer is not known. `isWhole`: the
 * response's bytes are compared as well as the status.
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
  if (write.responseDigest.length === 0) return undefined; // the response has private fields, which cannot be read here
  const digest = createHash("sha256").update(response).digest();
  return digest.equals(write.responseDigest) ? undefined : `a response of another digest, ${describe(response)}`;
}

const describe = (bytes: Buffer): string =>
  `${bytes.length} bytes (${createHash("sha256").update(bytes).digest("hex").slice(0, 12)})`;

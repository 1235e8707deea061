/** What came instead of an answer. */

/** An answer that is not the one that was asked for. `code` is Ashlar's error code, or one of the first three here. */
export class CallError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.name = "CallError";
    this.code = code;
  }
}

/** True if nobody is signed in any more. */
export const isSignedOut = (error: unknown): boolean => error instanceof CallError && error.code === "signed_out";

/**
 * Returns the answer, or `instead` if the control plane has no such thing (yet). Any other failure stays one: a page that
 * showed nothing then would say that there is nothing.
 */
export async function orNotFound<Answer, Instead>(
  answer: Promise<Answer>,
  instead: Instead,
): Promise<Answer | Instead> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof CallError && error.code === "not_found") return instead;
    throw error;
  }
}

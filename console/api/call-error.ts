/** The error of a call that got no answer. */

/** A call that did not get the expected answer. `code` is Ashlar's error code, or one of the first three here. */
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
 * Returns the answer, or `instead` if the control plane answers that there is no such thing (yet). Any other failure is
 * thrown again: a page must not show "nothing" when it does not know.
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

/** A fault in a value of policy, with its place in that value. */
export class PolicyFault extends Error {
  /** The place of the fault, such as "rules[0].timeout"; "" for the value itself. */
  path: string;

  constructor(why: string, path = "") {
    super(why);
    this.path = path;
  }
}

/** Runs `work`, and puts `step` ("rules" or "[0]") in front of the path of a fault that it throws. */
export function within<Result>(step: string, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    if (error instanceof PolicyFault) {
      error.path = error.path === "" || error.path.startsWith("[") ? `${step}${error.path}` : `${step}.${error.path}`;
    }
    throw error;
  }
}

/** Renders the fault on one line. */
export function renderFault({ path, message }: PolicyFault): string {
  return path === "" ? message : `${path}: ${message}`;
}

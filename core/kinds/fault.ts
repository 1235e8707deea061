/** What is wrong with a value of policy, and where in it. */
export class PolicyFault extends Error {
  /** For example "rules[0].timeout"; "" for the value itself. */
  path: string;

  constructor(why: string, path = "") {
    super(why);
    this.path = path;
  }
}

/** Runs `work` and puts `step` ("rules" or "[0]") before the path of a fault in it. */
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

/** The fault on one line. */
export function renderFault({ path, message }: PolicyFault): string {
  return path === "" ? message : `${path}: ${message}`;
}

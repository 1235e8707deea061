/** One evaluation of a condition: what it may read, the variables of its macros, and how much work is left. */
import type { SpiffeId } from "../../identity.js";
import { Failure, type Value, type ValueMap } from "./values.js";

/** The values that are known from the caller and the method alone. */
export interface Subject {
  readonly caller: SpiffeId;
  /** The caller's name if it is a service of this mesh, else "". */
  readonly callerService: string;
  readonly trustDomain: string;
  /** "package.Service/Method". */
  readonly method: string;
  /** "package.Service". */
  readonly rpcService: string;
}

/** The values that only a call has. Each is computed when a condition reads it, not before. */
export interface CallInputs {
  /**
   * A request header by its lower-case name, repeated ones joined with ","; undefined: missing, or not text.
   * It is never asked for a binary or reserved name.
   */
  header(name: string): string | undefined;
  /** The caller's IP address without a port; undefined: not known. */
  readonly sourceAddress: string | undefined;
  /** Unix milliseconds. */
  readonly nowMs: number;
  /** The claims of the verified token; undefined: there is none. */
  readonly claims: ValueMap | undefined;
  /** The name of the JwtIssuer whose token it is; undefined: there is none. */
  readonly tokenIssuer?: string | undefined;
  /** The labels of the caller's proxy, as it says itself; left out: not known, as if it had none. */
  readonly sourceLabels?: ReadonlyMap<string, string> | undefined;
  /** The labels of the proxy that is called. */
  readonly destinationLabels: ReadonlyMap<string, string>;
}

/** Steps of one evaluation: an element that a macro visits, or some 64 characters of text that are searched or built. */
const stepsMax = 2_000;
/** The most characters of a text that is read or built. */
export const textLengthMax = 16_384;

export const tooMuchWork = new Failure(`it takes more than ${stepsMax} steps`);
export const tooLongText = new Failure(`a text is longer than ${textLengthMax} characters`);

/** A condition has one frame and uses it again at each evaluation: evaluation is synchronous and never nested. */
export class Frame {
  subject: Subject | undefined;
  /** undefined if only the caller and the method are known. */
  inputs: CallInputs | undefined;
  readonly slots: Value[] = [];
  #steps = 0;

  start(subject: Subject | undefined, inputs: CallInputs | undefined): void {
    this.subject = subject;
    this.inputs = inputs;
    this.#steps = stepsMax;
  }

  /** Subtracts `steps` from the remaining steps. Returns false if fewer are left. */
  spend(steps: number): boolean {
    this.#steps -= steps;
    return this.#steps >= 0;
  }

  /** Takes the steps for going through `length` characters. */
  spendText(length: number): boolean {
    return this.spend(length >> 6);
  }
}

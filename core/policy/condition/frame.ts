/**
 * The state of one evaluation of a condition: the values that it may read, the variables of its macros, and the steps
 * that are left.
 */
import type { SpiffeId } from "../../identity.js";
import { Failure, type Value, type ValueMap } from "./values.js";

/** The values that the caller and the method alone determine. */
export interface Subject {
  readonly caller: SpiffeId;
  /** The caller's name if it is a service or gateway of this mesh, otherwise "". */
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
   * Returns the value of a request header by its lower-case name, repeated headers joined with ",", or undefined if it
   * is absent or not text. It is never asked for a binary or reserved name.
   */
  header(name: string): string | undefined;
  /** The caller's IP address without a port; undefined: it is not known. */
  readonly sourceAddress: string | undefined;
  /** The time of the call, in Unix milliseconds. */
  readonly nowMs: number;
  /** The claims of the verified token; undefined: the call has no token. */
  readonly claims: ValueMap | undefined;
  /** The name of the JwtIssuer that issued the token; undefined: the call has no token. */
  readonly tokenIssuer?: string | undefined;
  /** The labels that the caller's proxy states; left out: they are not known, which counts as none. */
  readonly sourceLabels?: ReadonlyMap<string, string> | undefined;
  /** The labels of the proxy that is called. */
  readonly destinationLabels: ReadonlyMap<string, string>;
}

/**
 * The most steps of one evaluation. A step is an element that a macro visits, or about 64 characters of text that are
 * searched or built.
 */
const stepsMax = 2_000;
/** The most characters of a text that is read or built. */
export const textLengthMax = 16_384;

export const tooMuchWork = new Failure(`it takes more than ${stepsMax} steps`);
export const tooLongText = new Failure(`a text is longer than ${textLengthMax} characters`);

/** A condition has one frame and reuses it at each evaluation, because evaluation is synchronous and never nested. */
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

  /** Spends the steps for reading `length` characters. Returns false if fewer are left. */
  spendText(length: number): boolean {
    return this.spend(length >> 6);
  }
}

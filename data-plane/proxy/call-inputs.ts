/** What a call says of itself, for conditions of policy. */
import type { Label } from "../../core/model.js";
import type { CallInputs } from "../../core/policy/condition/frame.js";
import { type Field, joinFields } from "./request-head.js";

/** As the call began: it is judged by the same again when policy changes while it is open. */
export class CallStart implements CallInputs {
  readonly sourceAddress: string | undefined;
  readonly nowMs: number;
  /** Tokens are not verified yet. */
  readonly claims = undefined;
  readonly destinationLabels: ReadonlyMap<string, string>;
  readonly #fields: readonly Field[];

  constructor(
    fields: readonly Field[],
    sourceAddress: string | undefined,
    nowMs: number,
    destinationLabels: ReadonlyMap<string, string>,
  ) {
    this.#fields = fields;
    this.sourceAddress = sourceAddress;
    this.nowMs = nowMs;
    this.destinationLabels = destinationLabels;
  }

  header(name: string): string | undefined {
    return joinFields(this.#fields, name);
  }
}

export function labelMap(labels: readonly Label[]): ReadonlyMap<string, string> {
  return new Map(labels.map(({ key, value }) => [key, value]));
}

/** An IP address in one form: IPv4 as IPv4 on a socket of both families too, and no zone. */
export function plainAddress(address: string | undefined): string | undefined {
  return address?.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, "").replace(/%.*$/, "");
}

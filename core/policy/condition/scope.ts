/** The variables of a condition, with what each one reads of a call. */

import { whyNotMatchable } from "../../snapshot/grammar.js";
import { headerNames } from "../../wire/headers.js";
import type { CallInputs, Frame, Subject } from "./frame.js";
import { boundedText } from "./functions.js";
import { timestampOfMs } from "./time.js";
import { Failure, mapOf, type Outcome, type Type, types, type ValueMap } from "./values.js";

/**
 * One thing that the result of a condition depends on. "header:x" is the header x. Beside "jwt" there is "claim:x" for
 * each claim that the condition names, or "claim:*" if it may read any claim. "issuer" is the name of the token's
 * issuer.
 */
export type ConditionRead =
  | "caller"
  | "method"
  | "jwt"
  | "issuer"
  | "time"
  | "source"
  | "labels"
  | "source-labels"
  | `header:${string}`
  | `claim:${string}`;

export type Declaration =
  | {
      readonly kind: "value";
      readonly type: Type;
      readonly read: ConditionRead | undefined;
      evaluate(frame: Frame): Outcome;
    }
  /** A name that is no value itself; only its fields are. */
  | { readonly kind: "group"; readonly fields: ReadonlyMap<string, Declaration> }
  /**
   * Request headers. Their names must be literals in the expression, so that it is known beforehand which headers are
   * read.
   */
  | { readonly kind: "headers" };

export type Scope = ReadonlyMap<string, Declaration>;

const noSubject = new Failure("there is no call");
const noInputs = new Failure("only the caller and the method are known here");
const noAddress = new Failure("the caller's address is not known");
const noTime = new Failure("the time is not known");
const noClaims: ValueMap = new Map();
const noLabels: ReadonlyMap<string, string> = new Map();

function ofSubject(read: ConditionRead, get: (subject: Subject) => string): Declaration {
  const evaluate = ({ subject }: Frame): Outcome => (subject === undefined ? noSubject : get(subject));
  return { kind: "value", type: types.string, read, evaluate };
}

function ofInputs(read: ConditionRead, type: Type, get: (inputs: CallInputs) => Outcome): Declaration {
  const evaluate = ({ inputs }: Frame): Outcome => (inputs === undefined ? noInputs : get(inputs));
  return { kind: "value", type, read, evaluate };
}

function group(fields: Readonly<Record<string, Declaration>>): Declaration {
  return { kind: "group", fields: new Map(Object.entries(fields)) };
}

/** The variables of conditions in policy. */
export const policyScope: Scope = new Map<string, Declaration>([
  [
    "caller",
    group({
      id: ofSubject("caller", ({ caller }) => caller),
      service: ofSubject("caller", ({ callerService }) => callerService),
      trust_domain: ofSubject("caller", ({ trustDomain }) => trustDomain),
    }),
  ],
  [
    "request",
    group({
      method: ofSubject("method", ({ method }) => method),
      service: ofSubject("method", ({ rpcService }) => rpcService),
      headers: { kind: "headers" },
    }),
  ],
  [
    "jwt",
    group({
      claims: ofInputs("jwt", mapOf(types.dyn), ({ claims }) => claims ?? noClaims),
      issuer: ofInputs("issuer", types.string, ({ tokenIssuer }) => tokenIssuer ?? ""),
    }),
  ],
  [
    "source",
    group({
      address: ofInputs("source", types.string, ({ sourceAddress }) => sourceAddress ?? noAddress),
      labels: ofInputs("source-labels", mapOf(types.string), ({ sourceLabels }) => sourceLabels ?? noLabels),
    }),
  ],
  ["destination", group({ labels: ofInputs("labels", mapOf(types.string), (inputs) => inputs.destinationLabels) })],
  [
    "client",
    ofInputs(`header:${headerNames.client}`, types.string, (inputs) => inputs.header(headerNames.client) ?? ""),
  ],
  ["now", ofInputs("time", types.timestamp, ({ nowMs }) => timestampOfMs(nowMs) ?? noTime)],
]);

/** Returns why a condition may not read a header, or undefined if it may. */
export const whyNotReadable: (name: string) => string | undefined = whyNotMatchable;

/** Reads a header. A missing header is a failure, as a missing key of a map is. */
export function readHeader(name: string): (frame: Frame) => Outcome {
  const missing = new Failure(`there is no header ${JSON.stringify(name)}`);
  return ({ inputs }) => {
    if (inputs === undefined) return noInputs;
    const value = inputs.header(name);
    return value === undefined ? missing : boundedText(value);
  };
}

/** Tests whether a header is present. */
export function hasHeader(name: string): (frame: Frame) => Outcome {
  return ({ inputs }) => (inputs === undefined ? noInputs : inputs.header(name) !== undefined);
}

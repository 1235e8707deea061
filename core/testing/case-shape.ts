/** The shape of a case of a policy test. */

import { isLabel, isWorkload } from "../identity.js";
import { parseTimestamp } from "../policy/condition/time.js";
import type { ValueMap } from "../policy/condition/values.js";
import { findSpiffeId, isHeaderValue, isMethod, whyNotMatchable } from "../snapshot/grammar.js";
import {
  converted,
  describe,
  entries,
  list,
  optional,
  record,
  required,
  type Shape,
  text,
} from "../snapshot/shapes.js";
import { isMap, isScalar } from "../snapshot/yaml-nodes.js";
import { claimsOf } from "../token/claims.js";

/** A call, and the verdict that it must get. */
export interface PolicyCase {
  readonly file: string;
  readonly line: number;
  readonly name: string;
  /** The caller: a service's name or a SPIFFE ID in full. */
  readonly caller: string;
  readonly service: string;
  /** "package.Service/Method". */
  readonly method: string;
  readonly headers: ReadonlyMap<string, string>;
  /** The time of the call in Unix milliseconds; undefined: now. */
  readonly timeMs: number | undefined;
  readonly sourceAddress: string | undefined;
  /** Labels of the proxy that is called. */
  readonly labels: ReadonlyMap<string, string>;
  /** The claims of the call's token; undefined: the call has none. */
  readonly claims: ValueMap | undefined;
  /** The name of the token's JwtIssuer. */
  readonly issuer: string | undefined;
  /** Labels of the caller's proxy. */
  readonly sourceLabels: ReadonlyMap<string, string>;
  readonly allowed: boolean;
  /** The rule that must decide; undefined: any rule may. */
  readonly rule: string | undefined;
}

type Written = Omit<
  PolicyCase,
  "file" | "line" | "service" | "method" | "headers" | "labels" | "sourceLabels" | "timeMs"
> & {
  readonly call: { readonly service: string; readonly method: string };
  readonly headers: readonly (readonly [string, string])[];
  readonly labels: readonly (readonly [string, string])[];
  readonly sourceLabels: readonly (readonly [string, string])[];
  readonly time: number | undefined;
};

const is = (valid: boolean): string | undefined => (valid ? undefined : "");
const line = text("a line of text", "^.{1,200}$", (value) => is(/^[^\p{Cc}]{1,200}$/u.test(value)));
const caller = text("a service's name or a SPIFFE ID in full", "^.+$", (value) =>
  is(isWorkload(value) || findSpiffeId(value) !== undefined),
);
const callText = text("SERVICE/package.Service/Method", "^[a-z0-9-]+/.+/.+$", (value) => {
  const { service, method } = splitCall(value);
  return is(isLabel(service) && isMethod(method));
});
const time = text("a time such as 2026-01-31T09:30:00Z", "^[0-9]{4}-.+$", (value) =>
  is(parseTimestamp(value) !== undefined),
);
const address = text("an IP address", "^[0-9a-fA-F.:]+$", (value) => is(/^[0-9a-fA-F.:]{2,45}$/.test(value)));
const headerValue = text("a header's value", "^.*$", (value) => is(isHeaderValue(value)));
const label = text("a label's value", "^.*$", (value) => is(value.length <= 256));
const flag: Shape<boolean> = {
  expected: "true or false",
  schema: { type: "boolean" },
  read(node, field, reading) {
    const found = reading.follow(node, field);
    if (found === undefined) return undefined;
    if (isScalar(found) && typeof found.value === "boolean") return found.value;
    return reading.report(reading.place(found ?? node, field), `expected true or false, found ${describe(found)}`);
  },
};

const name = text("the name of a JwtIssuer", "^[a-z0-9-]+$", (value) => is(isLabel(value)));
const claims: Shape<ValueMap> = {
  expected: "claims with their values",
  schema: { type: "object" },
  read(node, field, reading) {
    const found = reading.follow(node, field);
    if (found === undefined) return undefined;
    const place = reading.place(found ?? node, field);
    if (!isMap(found)) return reading.report(place, `expected claims with their values, found ${describe(found)}`);
    const value = claimsOf(found.toJSON() as Readonly<Record<string, unknown>>);
    return value ?? reading.report(place, "the claims are nested too deeply, or too many, or no JSON");
  },
};

const labels = entries(label, {
  expected: "labels with their values",
  noun: "label",
  cannot: "cannot be given",
  pattern: "^.+$",
  why: () => undefined,
});

const written = record<Written>("a case", {
  name: required(line, "", "What it shows."),
  caller: required(caller, "", "Who calls."),
  call: required(converted(callText, splitCall), { service: "", method: "" }, "What is called."),
  headers: optional(
    entries(headerValue, {
      expected: "headers with their values",
      noun: "header",
      cannot: "cannot be matched",
      pattern: "^[a-z0-9_.-]+$",
      why: whyNotMatchable,
    }),
    [],
    "Request headers.",
  ),
  time: optional(
    converted(time, (value) => Number((parseTimestamp(value)?.nanos ?? 0n) / 1_000_000n)),
    undefined,
    "When the call starts; left out: now.",
  ),
  sourceAddress: optional(address, undefined, "Where the call comes from; left out: not known."),
  labels: optional(labels, [], "Labels of the proxy that is called."),
  sourceLabels: optional(labels, [], "Labels of the caller's proxy."),
  claims: optional(claims, undefined, "Claims of the call's token, as the issuer would sign them; left out: no token."),
  issuer: optional(name, undefined, "The token's JwtIssuer, for conditions that read jwt.issuer."),
  allowed: required(flag, false, "Whether it has to be allowed."),
  rule: optional(line, undefined, "The rule that has to decide; left out: whichever."),
});

/** Reads a case with its line; the name of the file is not known here. */
const placed: Shape<PolicyCase> = {
  ...written,
  read(node, field, reading) {
    const value = written.read(node, field, reading);
    if (value === undefined) return undefined;
    const { call, headers, labels, sourceLabels, time: timeMs, ...rest } = value;
    const { line: at } = reading.place(node, field);
    const maps = { headers: new Map(headers), labels: new Map(labels), sourceLabels: new Map(sourceLabels) };
    return { ...rest, ...call, ...maps, file: "", line: at, timeMs };
  },
};

const document = record<{ cases: readonly PolicyCase[] }>("policy tests", {
  cases: required(
    list(placed, { whenEmpty: "", keyOf: ({ name }) => name }),
    [],
    "Calls, and what has to come of them.",
  ),
});

/** The cases of one document. */
export const caseList: Shape<readonly PolicyCase[]> = {
  ...document,
  read: (node, field, reading) => document.read(node, field, reading)?.cases,
};

function splitCall(value: string): { readonly service: string; readonly method: string } {
  const slash = Math.max(0, value.indexOf("/"));
  return { service: value.slice(0, slash), method: value.slice(slash + 1) };
}

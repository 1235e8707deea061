/** Selects which values of a call are recorded: only those that matching rules read, and never a credential. */
import { digestOf } from "../digest.js";
import type { Label } from "../model.js";
import type { CallInputs } from "../policy/condition/frame.js";
import type { ConditionRead } from "../policy/condition/scope.js";
import { isList, isMap, type Value } from "../policy/condition/values.js";
import {
  type DecisionInputs,
  noInputs,
  type Recorded,
  type RecordedClaim,
  type RecordedHeader,
} from "./decision-record.js";

/** The most bytes of a value that is recorded in full; of a longer one only the digest is recorded. */
const valueBytesMax = 1024;
/** The most bytes of all recorded values together; values beyond it are recorded as too long. */
const inputsBytesMax = 8 * 1024;
const claimsMax = 64;
/** The most headers of a call that a proxy accepts. Headers beyond it are treated as not recorded. */
const headersMax = 128;
const depthMax = 8;
const credentials: ReadonlySet<string> = new Set(["authorization", "proxy-authorization", "cookie"]);
const missing: Recorded<never> = Object.freeze({ state: "missing" });
const tooLong: Recorded<never> = Object.freeze({ state: "digest" });
const withheld: Recorded<never> = Object.freeze({ state: "withheld" });

/** Returns the inputs that `reads` names, as they are recorded. */
export function recordInputs(reads: ReadonlySet<ConditionRead>, inputs: CallInputs): DecisionInputs {
  if (reads.size === 0) return noInputs;
  const budget = { left: inputsBytesMax };
  const headers = namesOf(reads, "header:")
    .slice(0, headersMax)
    .map((name) => recordHeader(name, inputs.header(name), budget));
  const labels = reads.has("labels") ? sortedLabels(inputs.destinationLabels) : undefined;
  const sourceLabels = reads.has("source-labels") ? sortedLabels(inputs.sourceLabels ?? new Map()) : undefined;
  const all = reads.has("claim:*");
  const claims = inputs.claims;
  const names = all ? [...(claims?.keys() ?? [])].sort() : namesOf(reads, "claim:");
  return {
    headers,
    source: reads.has("source") ? { address: inputs.sourceAddress } : undefined,
    labels,
    sourceLabels,
    claims: names.slice(0, claimsMax).map((name) => recordClaim(name, claims?.get(name), budget)),
    issuer: reads.has("issuer") ? { name: inputs.tokenIssuer } : undefined,
    claimsComplete: all && names.length <= claimsMax,
  };
}

/** Returns the headers that a route's rules read, as they are recorded. */
export function recordHeaders(names: readonly string[], header: (name: string) => string | undefined): DecisionInputs {
  if (names.length === 0) return noInputs;
  const budget = { left: inputsBytesMax };
  return {
    ...noInputs,
    headers: [...names]
      .sort()
      .slice(0, headersMax)
      .map((name) => recordHeader(name, header(name), budget)),
  };
}

function sortedLabels(labels: ReadonlyMap<string, string>): readonly Label[] {
  return [...labels].map(([key, value]) => ({ key, value })).sort((a, b) => (a.key < b.key ? -1 : 1));
}

interface Budget {
  left: number;
}

function namesOf(reads: ReadonlySet<ConditionRead>, prefix: "header:" | "claim:"): string[] {
  const names: string[] = [];
  for (const read of reads) if (read.startsWith(prefix)) names.push(read.slice(prefix.length));
  return names.sort();
}

function recordHeader(name: string, value: string | undefined, budget: Budget): RecordedHeader {
  if (value === undefined) return { name, content: missing, digest: "" };
  if (credentials.has(name)) return { name, content: withheld, digest: "" };
  const bytes = Buffer.byteLength(value);
  if (bytes > valueBytesMax || bytes > budget.left)
    return { name, content: tooLong, digest: digestOf(Buffer.from(value)) };
  budget.left -= bytes;
  return { name, content: { state: "whole", value }, digest: "" };
}

function recordClaim(name: string, value: Value | undefined, budget: Budget): RecordedClaim {
  if (value === undefined) return { name, content: missing };
  const bytes = sizeOf(value, 0);
  if (bytes > valueBytesMax || bytes > budget.left) return { name, content: tooLong };
  budget.left -= bytes;
  return { name, content: { state: "whole", value } };
}

/** Returns about how many bytes a value takes, or Infinity for a value that is not recorded at all. */
function sizeOf(value: Value, depth: number): number {
  if (depth > depthMax) return Number.POSITIVE_INFINITY;
  if (typeof value === "string") return Buffer.byteLength(value) + 2;
  if (value === null || typeof value !== "object") return 8;
  let size = 2;
  if (isList(value)) {
    for (const item of value) size += 2 + sizeOf(item, depth + 1);
    return size;
  }
  if (!isMap(value)) return Number.POSITIVE_INFINITY;
  for (const [key, item] of value) size += 4 + Buffer.byteLength(key) + sizeOf(item, depth + 1);
  return size;
}

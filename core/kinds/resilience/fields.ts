/**
 * The parts of a Resilience: how calls are spread over instances, and which instances are left out and for how long.
 */

import { renderDuration } from "../../duration.js";
import { isLabelKey, labelKeyPattern } from "../../label.js";
import { whyNotMatchable } from "../../snapshot/grammar.js";
import { onlyTrue, share, stringValue, yesNo } from "../amounts.js";
import { maybe, optional, type RecordOf, record, required } from "../record.js";
import { duration, oneOf, text, wholeNumber } from "../types.js";

const hourMs = 3_600_000;

/** A duration that is at least `msMin`. Files do not write 0 to switch it off. */
export const wait = (msMin: number, msMax: number) =>
  duration({
    bounds: `from ${renderDuration(msMin)} to ${renderDuration(msMax)}`,
    msMin,
    msMax,
    whenShort: `${renderDuration(msMin)} is the shortest`,
  });

const count = wholeNumber(1, 1_000_000);
const part = (max: number) => share({ min: 0.01, max, written: "text" });

// === Who gets a call ===

const headerName = text({
  expected: "the name of a header that can be read",
  pattern: "^[a-z0-9_.-]{1,128}$",
  valid: (header) => header === "" || whyNotMatchable(header) === undefined,
  hint: (header) => whyNotMatchable(header) ?? "",
});

const balanceFields = {
  policy: required(
    1,
    oneOf({ leastRequest: 1, roundRobin: 2, ringHash: 3 }),
    "leastRequest",
    "leastRequest: of two drawn at random the one with fewer open calls. roundRobin: in turn. ringHash: by a key.",
  ),
  header: optional(
    2,
    headerName,
    "",
    "The key of ringHash: calls with the same value of this header go to one instance.",
  ),
  caller: maybe(3, onlyTrue, "The key of ringHash: calls of one caller go to one instance."),
};

export interface Balance extends RecordOf<typeof balanceFields> {}

function whyNotBalance({ policy, header, caller }: Balance): string | undefined {
  const keys = Number(header !== "") + Number(caller === true);
  if (policy === "ringHash") return keys === 1 ? undefined : "ringHash goes by a key: say header or caller";
  return keys === 0 ? undefined : `header and caller are keys of ringHash, and the policy is ${policy}`;
}

export const balance = record("a way of balancing", balanceFields, {
  why: (value) => whyNotBalance(value),
  refine(found, field, reading) {
    const why = whyNotBalance(found);
    const place = reading.places.get(field);
    if (why !== undefined && place !== undefined) reading.report(place, why);
    return found;
  },
});

const localityFields = {
  label: required(
    1,
    text({ expected: "a label's key", pattern: labelKeyPattern, valid: (key) => isLabelKey(key) }),
    "zone",
    "Instances with the same value of this label as the caller's proxy are preferred.",
  ),
  spillOver: optional(
    2,
    yesNo(true),
    true,
    "Calls go elsewhere in proportion while too few of the near instances are healthy; false: never.",
  ),
};

export interface Locality extends RecordOf<typeof localityFields> {}

export const locality = record("a locality", localityFields);

// === Who is left out ===

const healthFields = {
  /** The service name in the gRPC health check; "": the whole server. */
  grpc: maybe(
    1,
    stringValue(
      text({
        expected: 'the name of a gRPC service, or "" for the whole server',
        pattern: "^[\\w./-]{0,256}$",
        valid: (name) => /^[\w./-]{0,256}$/.test(name),
      }),
    ),
    'Asks the application by grpc.health.v1 about this service; "": about the whole server.',
  ),
  connect: maybe(2, onlyTrue, "Only connects, for applications without grpc.health.v1."),
  off: maybe(3, onlyTrue, "Does not ask the application at all."),
  intervalMs: optional(
    4,
    wait(100, hourMs),
    2000,
    "Between the end of one check and the next; after one that failed at most 1s.",
    {
      name: "interval",
    },
  ),
  timeoutMs: optional(5, wait(10, 60_000), 1000, "A check that takes longer has failed.", { name: "timeout" }),
  unhealthyAfter: optional(6, wholeNumber(1, 100), 3, "Checks that fail one after the other before it gets no calls."),
  healthyAfter: optional(
    7,
    wholeNumber(1, 100),
    2,
    "Checks that succeed one after the other before it gets calls again.",
  ),
};

export interface Health extends RecordOf<typeof healthFields> {}

function whyNotHealth({ grpc, connect, off }: Health): string | undefined {
  const ways = [grpc !== undefined, connect === true, off === true].filter(Boolean).length;
  return ways > 1 ? "say one of grpc, connect and off" : undefined;
}

export const health = record("a health check", healthFields, {
  why: (value) => whyNotHealth(value),
  refine(found, field, reading) {
    const why = whyNotHealth(found);
    const place = reading.places.get(field);
    if (why !== undefined && place !== undefined) reading.report(place, why);
    return found;
  },
});

const outlierFields = {
  consecutiveFailures: optional(
    1,
    wholeNumber(0, 1000),
    5,
    "Calls that end with 14, 13 or 2 one after the other; 0: not counted.",
  ),
  consecutiveTimeouts: optional(
    2,
    wholeNumber(0, 1000),
    3,
    "Calls whose time ran out before anything was answered, one after the other; 0: not counted.",
  ),
  successRate: maybe(3, part(100), "An instance below this share of successful calls of ten seconds is ejected."),
  latencyMs: maybe(4, wait(1, hourMs), "An instance whose median of ten seconds is above this is ejected.", {
    name: "latency",
  }),
  baseEjectionMs: optional(5, wait(100, hourMs), 10_000, "The first ejection; each further one lasts as much longer.", {
    name: "baseEjection",
  }),
  maxEjectionMs: optional(6, wait(100, 24 * hourMs), 300_000, "No ejection lasts longer.", {
    name: "maxEjection",
  }),
  maxEjected: optional(
    7,
    part(100),
    5000,
    "No more of the service's instances are ejected at once, but one always may be where there are two.",
  ),
};

export interface Outliers extends RecordOf<typeof outlierFields> {}

export const outliers = record("a detection of outliers", outlierFields);

const breakerFields = {
  connections: maybe(1, count, "Connections of one proxy to the service."),
  calls: maybe(2, count, "Open calls of one proxy to the service."),
  waiting: maybe(3, count, "Calls of one proxy that wait for a stream."),
  retries: maybe(
    4,
    part(100),
    "Retries, as a share of the calls of the last ten seconds (ten a second are free); left out: 20%.",
  ),
};

/** Bounds on what one proxy has open to a service. A call above a bound is answered 14 at once. */
export interface Breaker extends RecordOf<typeof breakerFields> {}

export const breaker = record("a circuit breaker", breakerFields);

export const panicShare = part(100);

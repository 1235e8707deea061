/** How often a route lets a call be tried: again after a failure, or a second time before the first try has ended. */
import { failureCode } from "../amounts.js";
import { textSet } from "../list.js";
import { optional, type RecordOf, record, required } from "../record.js";
import { duration, wholeNumber } from "../types.js";

const bounds = "from 1ms to 5m";
const shortMs = 300_000;
const wait = (whenShort: string) => duration({ bounds, msMin: 1, msMax: shortMs, whenShort });

/** The most attempts; gRFC A6 treats a higher number as 5. */
const attemptsMax = 5;

const retryFields = {
  attempts: required(1, wholeNumber(2, attemptsMax), 2, "Tries in all, the first among them (gRFC A6)."),
  on: required(
    2,
    textSet(failureCode, { whenEmpty: "name the codes after which a call is tried again", neverEmpty: true }),
    [],
    "gRPC codes after which a call is tried again, as long as no response headers have come.",
  ),
  backoffMs: optional(
    3,
    wait("1ms is the shortest"),
    25,
    "The first wait is a random part of this; each further one has twice as much.",
    {
      name: "backoff",
    },
  ),
  maxBackoffMs: optional(4, wait("1ms is the shortest"), 1000, "No wait is longer.", { name: "maxBackoff" }),
  perTryTimeoutMs: optional(
    5,
    duration({ bounds, msMin: 1, msMax: shortMs, whenShort: "leave it out for none", zeroIsNone: true }),
    0,
    "A try that takes longer counts as DEADLINE_EXCEEDED.",
    { name: "perTryTimeout" },
  ),
};

/** States when a call is tried again. */
export interface Retry extends RecordOf<typeof retryFields> {}

export const retry = record("retry", retryFields, {
  why: ({ backoffMs, maxBackoffMs }) => (backoffMs > maxBackoffMs ? "backoff is longer than maxBackoff" : undefined),
  refine(found, field, reading) {
    const place = reading.places.get(`${field}.maxBackoff`) ?? reading.places.get(`${field}.backoff`);
    if (found.backoffMs > found.maxBackoffMs && place !== undefined)
      reading.report(place, "backoff is longer than maxBackoff");
    return found;
  },
});

const hedgeFields = {
  attempts: required(1, wholeNumber(2, attemptsMax), 2, "Tries in all, the first among them; the first answer counts."),
  delayMs: required(
    2,
    wait("1ms is the shortest"),
    100,
    "After so long without an answer the next try begins beside the others.",
    {
      name: "delay",
    },
  ),
};

/** States when a call is tried a second time before the first try has failed. */
export interface Hedge extends RecordOf<typeof hedgeFields> {}

export const hedge = record("hedge", hedgeFields);

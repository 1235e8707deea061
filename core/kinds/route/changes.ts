/** What a route changes in a call: its headers, the name of its method, and faults that are injected for tests. */
import { isHeaderValue, whyNotChangeable } from "../../snapshot/grammar.js";
import { entries } from "../../snapshot/shapes.js";
import { failureCode, share } from "../amounts.js";
import { list, textSet } from "../list.js";
import { method } from "../names.js";
import { maybe, type RecordOf, record, required } from "../record.js";
import { type Type, writtenAs } from "../type.js";
import { duration, text } from "../types.js";

const namePattern = "^[a-z0-9_.-]{1,128}$";
const value = text({ expected: "a header's value", pattern: "^([!-~]([ -~]*[!-~])?)?$", valid: isHeaderValue });
const name = text({
  expected: "the name of a header that a route may change",
  pattern: namePattern,
  valid: (header) => whyNotChangeable(header) === undefined,
  hint: (header) => whyNotChangeable(header) ?? "",
});

const fieldOf = {
  name: required(1, name, "", "Lower case."),
  value: required(2, value, "", "The value."),
};
const written = entries(value.shape, {
  expected: "headers with their values",
  noun: "header",
  cannot: "cannot be changed",
  pattern: namePattern,
  why: whyNotChangeable,
});

type HeaderField = RecordOf<typeof fieldOf>;

const headerFields: Type<readonly HeaderField[]> = writtenAs(
  list(record("a header with its value", fieldOf), { whenEmpty: "", sortBy: (header) => header.name }),
  {
    ...written,
    read: (node, field, reading) =>
      written.read(node, field, reading)?.map(([header, text]) => ({ name: header, value: text })),
  },
  (headers) => Object.fromEntries(headers.map((header) => [header.name, header.value])),
);

const changeFields = {
  set: maybe(1, headerFields, "Headers that are there with this value and no other, whoever sent what."),
  add: maybe(2, headerFields, "Headers that are added beside those of the same name."),
  remove: maybe(3, textSet(name, { whenEmpty: "leave it out" }), "Headers that are taken away."),
};

/**
 * Changes to the request's or the response's headers: first the removals, then the replacements, then the additions.
 */
export interface HeaderChanges extends RecordOf<typeof changeFields> {}

const changes = record("changes of headers", changeFields, { why: whyTwice });

function whyTwice({ set = [], add = [], remove = [] }: HeaderChanges): string | undefined {
  const twice = set.find((one) => remove.includes(one.name) || add.some((other) => other.name === one.name));
  return twice === undefined ? undefined : `${JSON.stringify(twice.name)} is set, and removed or added as well`;
}

const bothFields = {
  request: maybe(
    1,
    changes,
    "What becomes of the request's headers, in the caller's proxy, after the route was chosen.",
  ),
  response: maybe(2, changes, "What becomes of the response's headers."),
};

export interface RouteHeaders extends RecordOf<typeof bothFields> {}

export const routeHeaders = record("changes of headers", bothFields);

const rewriteFields = {
  method: required(1, method, "", "The method under which the call goes on: its destination judges this one."),
};

export const rewrite = record("a rewrite", rewriteFields);

const percent = required(2, share({ min: 0.01, max: 100, written: "number" }), 10_000, "Of a hundred calls.");
const abortFields = { code: required(1, failureCode, "UNAVAILABLE", "The answer."), percent };
const delayFields = {
  timeMs: required(
    1,
    duration({
      bounds: "from 1ms to 1h",
      msMin: 1,
      msMax: 3_600_000,
      whenShort: "leave it out",
    }),
    1,
    "How long the call waits before it goes on.",
    { name: "time" },
  ),
  percent,
};

const faultFields = {
  abort: maybe(1, record("an abort", abortFields), "Calls that are answered at once without going anywhere."),
  delay: maybe(2, record("a delay", delayFields), "Calls that wait before they go on; their deadline runs."),
};

/** Faults that are injected on purpose, to see how callers react. */
export interface RouteFault extends RecordOf<typeof faultFields> {}

export const fault = record("a fault", faultFields, {
  why: ({ abort, delay }) => (abort === undefined && delay === undefined ? "say abort, delay, or both" : undefined),
});

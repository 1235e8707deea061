/** kind: Telemetry */
import { isHeaderName } from "../../snapshot/grammar.js";
import { share } from "../amounts.js";
import { defineKind, type ObjectWith } from "../kind.js";
import { list, textSet } from "../list.js";
import { label, methodPatterns } from "../names.js";
import { maybe, optional, type RecordOf, record, required } from "../record.js";
import { oneOf, text } from "../types.js";

/** The most entries of one `byMethod`, and the most names of one list of headers. */
const entriesMax = 64;
const part = share({ min: 0, max: 100, written: "text" });
const whyTooMany = (count: number): string | undefined =>
  count > entriesMax ? `${count} items, at most ${entriesMax} are allowed` : undefined;

const methodShareFields = {
  methods: required(1, methodPatterns, [], "Which calls."),
  share: required(2, part, 0, "The share of these calls, in place of the share of all."),
};

export interface MethodShare extends RecordOf<typeof methodShareFields> {}

const byMethod = list(record("methods with their share", methodShareFields), {
  whenEmpty: "leave it out",
  why: ({ length }) => whyTooMany(length),
});

const traceFields = {
  share: optional(
    1,
    part,
    0,
    "The share of calls without a parent that are traced; a parent decides for its children.",
  ),
  byMethod: optional(2, byMethod, [], "Other shares for some methods; the first entry that names the method counts."),
  clients: maybe(
    3,
    oneOf({ mark: 1 }),
    "mark: a call that a client of a gateway marks as sampled is traced, at most 100 a second in each process; left out: the share decides for clients.",
  ),
};

export interface Traces extends RecordOf<typeof traceFields> {}

const headerNames = textSet(
  text({
    expected: "the name of a header in lower case",
    pattern: "^[a-z0-9_.-]{1,128}$",
    valid: isHeaderName,
    hint: (name) => (isHeaderName(name.toLowerCase()) ? "names of headers are lower case" : ""),
  }),
  { whenEmpty: "leave it out", why: ({ length }) => whyTooMany(length) },
);

const accessLogFields = {
  share: optional(1, part, 0, "The share of calls that are logged, whether they are traced or not."),
  byMethod: optional(2, byMethod, [], "Other shares for some methods; the first entry that names the method counts."),
  refused: optional(
    3,
    oneOf({ all: 1, none: 2 }),
    "all",
    "Calls that a proxy refused or answered itself. all: each, as far as the bound goes; none: only those of the share.",
  ),
  headers: optional(4, headerNames, [], "Headers of the request that lines show."),
  redact: optional(
    5,
    headerNames,
    [],
    "Headers whose value lines never show; they only say that it was there. authorization and cookie always belong to them.",
  ),
};

export interface AccessLog extends RecordOf<typeof accessLogFields> {}

const fields = {
  name: required(1, label, "", "Unique among the telemetry objects of the mesh."),
  service: maybe(2, label, "The service that is called; left out: every service that has no Telemetry of its own."),
  traces: maybe(3, record("traces", traceFields), "Which calls are traced; left out: as the mesh's says, else none."),
  accessLog: maybe(
    4,
    record("an access log", accessLogFields),
    "Which calls have a line in the access log; left out: as the mesh's says, else none.",
  ),
};

/** States which calls leave traces and lines in the access log. */
export interface Telemetry extends ObjectWith<"Telemetry", typeof fields> {}

export const telemetry = defineKind("Telemetry", fields, {
  noun: "telemetry",
  about: "Which calls to a service leave traces and lines in the access log.",
  page: "policy-telemetry.md",
  unit: "either",
  key: "telemetry",
  number: 13,
  isOnePerService: true,
  check({ service, traces, accessLog }, checker) {
    if (service === undefined || !checker.service(service, "service")) return;
    for (const [name, part] of [["traces", traces] as const, ["accessLog", accessLog] as const])
      for (const [index, { methods }] of (part?.byMethod ?? []).entries())
        checker.methods(service, methods, `${name}.byMethod[${index}].methods`);
  },
});

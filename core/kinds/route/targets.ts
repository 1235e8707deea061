/** The targets of routes: instances of a version, instances with certain labels, or both. */
import { isLabelKey, isLabelValue, labelKeyPattern, labelValuePattern } from "../../label.js";
import { weightMax } from "../../snapshot/grammar.js";
import type { Reading } from "../../snapshot/reading.js";
import { entries } from "../../snapshot/shapes.js";
import { share } from "../amounts.js";
import { list } from "../list.js";
import { version } from "../names.js";
import { maybe, optional, type RecordOf, record, required } from "../record.js";
import { type Type, writtenAs } from "../type.js";
import { text, wholeNumber } from "../types.js";

const labelFields = {
  key: required(1, text({ expected: "a label's key", pattern: labelKeyPattern, valid: isLabelKey }), "", "The key."),
  value: required(
    2,
    text({ expected: "a label's value", pattern: labelValuePattern, valid: isLabelValue }),
    "",
    "The value.",
  ),
};

const written = entries(text({ expected: "a label's value", pattern: labelValuePattern, valid: isLabelValue }).shape, {
  expected: "labels with their values",
  noun: "label",
  cannot: "cannot be asked for",
  pattern: labelKeyPattern,
  why: (key) => (isLabelKey(key) ? undefined : "no proxy can have it"),
});

/** Labels that an instance must have, all of them; files write a map. */
const requiredLabels: Type<readonly RecordOf<typeof labelFields>[]> = writtenAs(
  list(record("a label", labelFields), { whenEmpty: "", sortBy: ({ key }) => key }),
  {
    ...written,
    read: (node, field, reading) => written.read(node, field, reading)?.map(([key, value]) => ({ key, value })),
  },
  (labels) => Object.fromEntries(labels.map(({ key, value }) => [key, value])),
);

const versionOrAny: Type<string> = {
  ...writtenAs(version, version.shape, (value) => (value === "" ? undefined : value)),
  canonical: (value) => (value === "" ? value : version.canonical(value)),
};

/** The fields that select instances; their field numbers are 1 and 3. */
export const targetFields = {
  /** The version; "": any version, and then there must be labels. */
  version: optional(1, versionOrAny, "", "As in the join token of the service's proxies; left out: any, by labels."),
  labels: maybe(3, requiredLabels, "Labels that an instance has to have (`ashlar proxy --label`)."),
};

type Target = Pick<RecordOf<typeof targetFields>, "version" | "labels">;

export function whyNoTarget({ version, labels = [] }: Target): string | undefined {
  return version === "" && labels.length === 0 ? "name a version, labels, or both" : undefined;
}

const weightedFields = {
  ...targetFields,
  weight: required(2, wholeNumber(0, weightMax), 1, "Relative to the other weights."),
};

/** One weighted target of a split. */
export interface WeightedVersion extends RecordOf<typeof weightedFields> {}

const mirrorFields = {
  ...targetFields,
  percent: required(
    2,
    share({ min: 0.01, max: 100, written: "number" }),
    10_000,
    "So many of a hundred calls are sent there too.",
  ),
};

/** The target that copies of calls are sent to. */
export interface Mirror extends RecordOf<typeof mirrorFields> {}

/** Renders a target for people: "v2", "zone=a" or "v2 zone=a". Equal targets have equal texts. */
export function renderTarget({ version, labels = [] }: Target): string {
  const named = labels.map(({ key, value }) => `${key}=${value}`).join(",");
  return version === "" || named === "" ? `${version}${named}` : `${version} ${named}`;
}

/** Reports a target that states neither a version nor labels. */
export function refineTarget<Value extends Target>(found: Value, field: string, reading: Reading): Value {
  const place = reading.places.get(field);
  const isStated = reading.places.has(`${field}.version`) || reading.places.has(`${field}.labels`);
  const why = isStated ? undefined : whyNoTarget(found);
  if (why !== undefined && place !== undefined) reading.report(place, why);
  return found;
}

export const split: Type<readonly WeightedVersion[]> = list(
  record("a version or labels with a weight", weightedFields, {
    why: (value) => whyNoTarget(value),
    refine: (found, field, reading) => refineTarget(found, field, reading),
  }),
  {
    whenEmpty: "leave it out to use every version alike",
    sortBy: (each) => renderTarget(each),
    why: (all) =>
      all.length === 0 || all.some((each) => each.weight > 0)
        ? undefined
        : "the weights have the sum 0; give a version some",
  },
);

export const mirror = record("a mirror", mirrorFields, {
  why: (value) => whyNoTarget(value),
  refine: (found, field, reading) => refineTarget(found, field, reading),
});

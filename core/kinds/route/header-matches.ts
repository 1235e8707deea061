/** Tests of request headers in a route: a map in files, a list of messages in the bytes. */

import { isHeaderValue, whyNotMatchable } from "../../snapshot/grammar.js";
import { entries, type Shape } from "../../snapshot/shapes.js";
import { isMap } from "../../snapshot/yaml-nodes.js";
import { onlyTrue } from "../amounts.js";
import { list, textSet } from "../list.js";
import { maybe, optional, type RecordOf, record, required } from "../record.js";
import { type Type, writtenAs } from "../type.js";
import { oneOf, text } from "../types.js";

const pattern = "^([!-~]([ -~]*[!-~])?)?$";
const value = text({ expected: "a header's value", pattern, valid: isHeaderValue });
const name = text({
  expected: "the name of a header that can be matched",
  pattern: "^[a-z0-9_.-]{1,128}$",
  valid: (header) => whyNotMatchable(header) === undefined,
});

const fields = {
  /** The name of the header, in lower case. */
  name: required(1, name, "", "Lower case."),
  /** Repeated headers are joined with "," before they are compared. */
  value: required(2, value, "", "The exact value, or what it begins with."),
  /** Left out: the header has exactly this value. */
  by: maybe(3, oneOf({ prefix: 1, present: 2, absent: 3, in: 4 }), "Another test than the exact value."),
  /** The accepted values; not empty exactly if `by` is "in". */
  values: maybe(4, textSet(value, { whenEmpty: "name values" }), "One of these values."),
};

/** A test of a request header. */
export interface HeaderMatch extends RecordOf<typeof fields> {}

function whyNot({ by, value: text, values = [] }: Partial<HeaderMatch>): string | undefined {
  if ((by === "in") !== values.length > 0) return "values go with in";
  if (by === "prefix" && text === "") return "every value begins with nothing; ask for present";
  return by === undefined || by === "prefix" || text === "" ? undefined : `${by} has no value`;
}

/** How files write the tests other than equality. */
const forms = record("a test of a header", {
  prefix: optional(1, value, "", "What the value begins with."),
  present: maybe(2, onlyTrue, "The header is there, whatever its value."),
  absent: maybe(3, onlyTrue, "The header is not there."),
  in: maybe(4, textSet(value, { whenEmpty: "name values" }), "The value is one of these."),
});

type Test = Omit<HeaderMatch, "name">;

function testOf(form: RecordOf<(typeof forms)["fields"]> & Record<string, unknown>): Test | undefined {
  const {
    prefix = "",
    present,
    absent,
    in: values,
  } = form as {
    prefix?: string;
    present?: boolean;
    absent?: boolean;
    in?: readonly string[];
  };
  const tests: Test[] = [];
  if (prefix !== "") tests.push({ by: "prefix", value: prefix });
  if (present === true) tests.push({ by: "present", value: "" });
  if (absent === true) tests.push({ by: "absent", value: "" });
  if (values !== undefined) tests.push({ by: "in", value: "", values });
  return tests.length === 1 ? tests[0] : undefined;
}

const expected = "a header's value, or one of { prefix: TEXT }, { present: true }, { absent: true }, { in: [TEXT] }";
const written: Shape<Test> = {
  expected,
  schema: { anyOf: [value.shape.schema, forms.shape.schema] },
  read(node, field, reading) {
    const found = reading.follow(node, field);
    if (found === undefined) return undefined;
    if (!isMap(found)) {
      const exact = value.shape.read(found, field, reading);
      return exact === undefined ? undefined : { value: exact };
    }
    const form = forms.shape.read(found, field, reading);
    if (form === undefined) return undefined;
    const test = testOf(form);
    return test ?? reading.report(reading.place(found, field), `expected ${expected}: exactly one of them`);
  },
};

const map = entries(written, {
  expected: "headers with the values that they must have",
  noun: "header",
  cannot: "cannot be matched",
  pattern: "^[a-z0-9_.-]{1,128}$",
  why: whyNotMatchable,
});

function render({ by, value: text, values }: HeaderMatch): unknown {
  if (by === undefined) return text;
  if (by === "prefix") return { prefix: text };
  return by === "in" ? { in: values } : { [by]: true };
}

export const headerMatches: Type<readonly HeaderMatch[]> = writtenAs(
  list(record("a header with its test", fields, { why: whyNot }), { whenEmpty: "", sortBy: (header) => header.name }),
  {
    ...map,
    read: (node, field, reading) =>
      map.read(node, field, reading)?.map(([header, test]) => ({ name: header, ...test })),
  },
  (headers) =>
    headers.length === 0 ? undefined : Object.fromEntries(headers.map((header) => [header.name, render(header)])),
);

/**
 * Returns whether a header passes a test. `found`: its value, repeated headers joined with ","; undefined: it is
 * absent.
 */
export function matchesHeader({ by, value: text, values }: HeaderMatch, found: string | undefined): boolean {
  if (by === undefined) return found === text;
  if (by === "present") return found !== undefined;
  if (by === "absent") return found === undefined;
  if (found === undefined) return false;
  return by === "prefix" ? found.startsWith(text) : (values ?? []).includes(found);
}

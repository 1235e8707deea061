/** Request headers with their exact values: in files a map, in the bytes a list of messages. */
import { isHeaderValue, whyNotMatchable } from "../../snapshot/grammar.js";
import { entries } from "../../snapshot/shapes.js";
import { list } from "../list.js";
import { type RecordOf, record, required } from "../record.js";
import { type Type, writtenAs } from "../type.js";
import { text } from "../types.js";

const value = text({ expected: "a header's value", pattern: "^([!-~]([ -~]*[!-~])?)?$", valid: isHeaderValue });
const name = text({
  expected: "the name of a header that can be matched",
  pattern: "^[a-z0-9_.-]{1,128}$",
  valid: (header) => whyNotMatchable(header) === undefined,
});

const fields = {
  /** Lower case. */
  name: required(1, name, "", "Lower case."),
  /** Repeated headers are joined with "," before they are compared. */
  value: required(2, value, "", "The exact value."),
};

/** A request header and the exact value it must have. */
export interface HeaderMatch extends RecordOf<typeof fields> {}

const map = entries(value.shape, "headers with their exact values", "^[a-z0-9_.-]{1,128}$", whyNotMatchable);

export const headerMatches: Type<readonly HeaderMatch[]> = writtenAs(
  list(record("a header with its value", fields), { whenEmpty: "", sortBy: (header) => header.name }),
  {
    ...map,
    read: (node, field, reading) =>
      map.read(node, field, reading)?.map(([header, exact]) => ({ name: header, value: exact })),
  },
  (headers) =>
    headers.length === 0 ? undefined : Object.fromEntries(headers.map((header) => [header.name, header.value])),
);

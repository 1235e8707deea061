/** Which calls a rule of a route takes, and what keeps a caller's calls on one side of its split. */
import { whyNotMatchable } from "../../snapshot/grammar.js";
import { onlyTrue } from "../amounts.js";
import { callersOrAny, methodPatterns } from "../names.js";
import { maybe, optional, type RecordOf, type RecordType, record } from "../record.js";
import type { Type } from "../type.js";
import { text } from "../types.js";
import { headerMatches } from "./header-matches.js";

const headerName = text({
  expected: "the name of a header that can be matched",
  pattern: "^[a-z0-9_.-]{1,128}$",
  valid: (header) => header === "" || whyNotMatchable(header) === undefined,
  hint: (header) => whyNotMatchable(header) ?? "",
});

const matchFields = {
  /** The call's method must match one of these patterns; sorted. Empty: all methods. */
  methods: optional(1, methodPatterns, [], "One of them has to match; left out: all."),
  headers: optional(2, headerMatches, [], "Request headers that have to have a value, or to be there, or not."),
  from: maybe(3, callersOrAny, "Who has to call; left out: anybody. Names and SPIFFE IDs as in an Authorization."),
};

/** Conditions on a call; all that are given have to hold. */
export interface RouteMatch extends RecordOf<typeof matchFields> {}

/** Makes a match without conditions undefined, because it matches every call. */
function noneIfEmpty(match: RecordType<RecordOf<typeof matchFields>>): Type<RouteMatch | undefined> {
  const withConditions = <Value extends RouteMatch | undefined>(value: Value): Value | undefined =>
    value === undefined || value.methods.length + value.headers.length + (value.from ?? []).length === 0
      ? undefined
      : value;
  return {
    ...match,
    shape: {
      ...match.shape,
      read: (node, field, reading) => withConditions(match.shape.read(node, field, reading)),
    },
    canonical: (value) => (value === undefined ? undefined : withConditions(match.canonical(value))),
    render: (value) => value && match.render(value),
  };
}

export const routeMatch = noneIfEmpty(record("a match", matchFields));

const stickyFields = {
  header: optional(1, headerName, "", "Calls with the same value of this request header stay on one side."),
  caller: maybe(2, onlyTrue, "Calls of one caller stay on one side."),
};

/** States what keeps calls on one side of a split while its weights change. */
export interface Sticky extends RecordOf<typeof stickyFields> {}

export const sticky = record("sticky", stickyFields, {
  why: ({ header, caller }) => ((header === "") === (caller === true) ? undefined : "say header or caller"),
  refine(found, field, reading) {
    const place = reading.places.get(field);
    if ((found.header === "") !== (found.caller === true) && place !== undefined)
      reading.report(place, "say { header: NAME } or { caller: true }, one of them");
    return found;
  },
});

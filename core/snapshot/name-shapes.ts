/** How names are written in policy files: of objects, methods and callers. */
import { isLabel } from "../identity.js";
import { isCaller, isMethodPattern } from "./grammar.js";
import { list, required, text } from "./shapes.js";

const labelPattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";
const identifierPath = "[A-Za-z_]\\w*(\\.[A-Za-z_]\\w*)*";
/** Turns a test into what `text` asks for: undefined, or a hint. */
export const fine = (valid: (value: string) => boolean, hint: (value: string) => string = () => "") => {
  return (value: string): string | undefined => (valid(value) ? undefined : hint(value));
};
export const itself = (value: string): string => value;

/** A slash in front is how HTTP writes the path, and a common slip. */
const slashHint = (value: string): string =>
  value.startsWith("/") && isMethodPattern(value.slice(1)) ? `write it as ${JSON.stringify(value.slice(1))}` : "";

const caseHint = (value: string): string => (isLabel(value.toLowerCase()) ? "names are lower case" : "");

/** The name of an object. */
export const label = text("a name of 1 to 63 of a-z, 0-9 and -", labelPattern, fine(isLabel, caseHint));
/** A method in full, or all that a descriptor says of a gRPC service. */
export const statedMethod = text(
  'a method: package.Service/Method, or "package.Service/*" where a descriptor says which',
  `^${identifierPath}/(\\*|[A-Za-z_]\\w*)$`,
  fine((value) => value !== "*" && isMethodPattern(value), slashHint),
);
const methodPattern = text(
  'a method, "package.Service/*" or "*"',
  `^(\\*|${identifierPath}/(\\*|[A-Za-z_]\\w*))$`,
  fine(isMethodPattern, slashHint),
);
export const caller = text(
  'a service\'s name, a SPIFFE ID in full, or "*"',
  `^(\\*|${labelPattern.slice(1, -1)}|spiffe://.+)$`,
  fine(isCaller),
);

export const methodPatterns = list(methodPattern, { whenEmpty: "leave it out for all methods", keyOf: itself });
export const callers = list(caller, {
  whenEmpty: 'name callers, or "*" for any authenticated identity',
  keyOf: itself,
});

export const kindOf = (kind: string) =>
  required(
    text(kind, `^${kind}$`, (value) => (value === kind ? undefined : "")),
    kind,
    "The kind of object.",
  );

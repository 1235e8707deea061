/** Which fields of which messages a Journal encrypts for their holder. */
import { serviceOfMethod } from "../../snapshot/grammar.js";
import { type Cuts, cutsOf } from "./cut.js";

/** The private fields of the request and the response of a method; undefined: there are none. */
export interface MethodCuts {
  readonly request: Cuts | undefined;
  readonly response: Cuts | undefined;
}

/** A private field as policy states it. */
export interface PrivateField {
  readonly method: string;
  readonly part: "request" | "response";
  /** The field numbers, from the outermost message inwards. */
  readonly path: readonly number[];
}

/** A private field as files have it: a segment of the path is a number or, with descriptors beside the file, a name. */
export interface WrittenField extends Omit<PrivateField, "path"> {
  readonly path: readonly string[];
}

const method = "[A-Za-z_]\\w*(\\.[A-Za-z_]\\w*)*/[A-Za-z_]\\w*";
/** The form of a private field in policy files: "package.Service/Method request.customer.3". */
export const writtenFieldPattern = `^${method} (request|response)(\\.([1-9][0-9]{0,8}|[A-Za-z_]\\w*)){1,8}$`;
const grammar = new RegExp(writtenFieldPattern);
const textLengthMax = 512;
const fieldNumberMax = 2 ** 29 - 1;

/** Parses a private field, or returns undefined if the text is none. */
export function parseWrittenField(text: string): WrittenField | undefined {
  if (text.length > textLengthMax || !grammar.test(text)) return undefined;
  const [of = "", place = ""] = text.split(" ");
  const [part, ...path] = place.split(".");
  if (serviceOfMethod(of) === "" || path.some((segment) => Number(segment) > fieldNumberMax)) return undefined;
  return { method: of, part: part === "request" ? "request" : "response", path };
}

/** A field in numbers alone: "package.Service/Method request.3.1". undefined: the text is none. */
export function parsePrivateField(text: string): PrivateField | undefined {
  const written = parseWrittenField(text);
  const path = written?.path.map(Number);
  return written === undefined || path === undefined || path.some(Number.isNaN) ? undefined : { ...written, path };
}

/** Returns, for each method with private fields, what is cut out of its messages. */
export function methodCutsOf(fields: readonly string[]): ReadonlyMap<string, MethodCuts> {
  const read = fields.flatMap((text) => parsePrivateField(text) ?? []);
  const methods = new Set(read.map(({ method }) => method));
  const cuts = (of: string, which: PrivateField["part"]): Cuts | undefined => {
    const paths = read.filter(({ method, part }) => method === of && part === which).map(({ path }) => path);
    return paths.length === 0 ? undefined : cutsOf(paths);
  };
  return new Map([...methods].map((of) => [of, { request: cuts(of, "request"), response: cuts(of, "response") }]));
}

/** Which fields of which messages a Journal keeps for their holder alone. */
import { serviceOfMethod } from "../../snapshot/grammar.js";
import { type Cuts, cutsOf } from "./cut.js";

/** The private fields of a method's messages; undefined: there are none. */
export interface MethodCuts {
  readonly request: Cuts | undefined;
  readonly response: Cuts | undefined;
}

/** A private field as policy has it. */
export interface PrivateField {
  readonly method: string;
  readonly part: "request" | "response";
  /** Numbers of fields, from the outermost message on. */
  readonly path: readonly number[];
}

/** In files: "package.Service/Method request.3.1". */
export const privateFieldPattern =
  "^[A-Za-z_]\\w*(\\.[A-Za-z_]\\w*)*/[A-Za-z_]\\w* (request|response)(\\.[1-9][0-9]{0,8}){1,8}$";
const grammar = new RegExp(privateFieldPattern);
const fieldNumberMax = 2 ** 29 - 1;

/** undefined: the text is none. */
export function parsePrivateField(text: string): PrivateField | undefined {
  if (!grammar.test(text) || text.length > 512) return undefined;
  const [method = "", place = ""] = text.split(" ");
  const [part, ...numbers] = place.split(".");
  const path = numbers.map(Number);
  if (serviceOfMethod(method) === "" || path.some((number) => number > fieldNumberMax)) return undefined;
  return { method, part: part === "request" ? "request" : "response", path };
}

/** What is cut out of the messages of each method that has private fields. */
export function methodCutsOf(fields: readonly string[]): ReadonlyMap<string, MethodCuts> {
  const read = fields.flatMap((text) => parsePrivateField(text) ?? []);
  const methods = new Set(read.map(({ method }) => method));
  const cuts = (of: string, which: PrivateField["part"]): Cuts | undefined => {
    const paths = read.filter(({ method, part }) => method === of && part === which).map(({ path }) => path);
    return paths.length === 0 ? undefined : cutsOf(paths);
  };
  return new Map([...methods].map((of) => [of, { request: cuts(of, "request"), response: cuts(of, "response") }]));
}

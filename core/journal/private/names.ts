/** Replaces the names of private fields in policy, which are those of .proto files, by the stored numbers. */
import { renderNearest } from "../../snapshot/nearest.js";
import type { FieldType, MessageType, MethodTypes } from "./message-types.js";
import type { WrittenField } from "./plan.js";

/** The message types that descriptors state. */
export interface MessageTypes {
  /** The types by "package.Service/Method". "unclear": descriptors contradict each other. */
  readonly methods: ReadonlyMap<string, MethodTypes | "unclear">;
  /** The types by full name. "unclear": descriptors contradict each other. */
  readonly messages: ReadonlyMap<string, MessageType | "unclear">;
}

/** The field by numbers, with a doubt if there is one; or why it is unclear which field is meant. */
export type Numbered = { readonly field: string; readonly doubt: string | undefined } | { readonly why: string };

type Step = { readonly number: number; readonly field: FieldType | undefined } | { readonly why: string };

/**
 * Replaces a field's names by numbers. Numbers stay. A number that descriptors lack is a doubt, since the descriptors
 * may be older than the messages.
 */
export function numberField({ method, part, path }: WrittenField, types: MessageTypes): Numbered {
  const said = types.methods.get(method);
  const found = said === "unclear" ? undefined : said;
  if (found === undefined && path.some((segment) => !isNumber(segment)))
    return { why: whyNoTypes(method, said === "unclear", [...types.methods.keys()]) };
  const numbers: number[] = [];
  let type: string | undefined = found?.[part];
  let last: FieldType | undefined;
  let doubt: string | undefined;
  for (const [index, segment] of path.entries()) {
    const message = type === undefined ? undefined : (types.messages.get(type) ?? "missing");
    const step = isNumber(segment)
      ? byNumber(message, Number(segment))
      : byName(message, segment, { type, over: path[index - 1] ?? part, last });
    if ("why" in step) {
      const hint = index === 0 && found !== undefined ? inOtherPart(segment, part, found, types) : "";
      return { why: `${step.why}${hint}` };
    }
    if (step.field === undefined && type !== undefined && message !== "missing" && message !== "unclear")
      doubt ??= `${type} has no field ${segment} in its descriptor; if another field is meant, that one is stored in clear`;
    numbers.push(step.number);
    last = step.field;
    type = last === undefined || last.type === "" ? undefined : last.type;
  }
  return { field: `${method} ${part}.${numbers.join(".")}`, doubt };
}

const isNumber = (segment: string): boolean => /^[0-9]/.test(segment);

function whyNoTypes(method: string, isUnclear: boolean, known: readonly string[]): string {
  if (isUnclear) return `descriptors say different things of the messages of ${method}: apply one of them`;
  const nearest = renderNearest(method, known);
  const remedy = "apply its .proto or descriptor set (.binpb) too, or write the numbers of the fields";
  return `no descriptor says what the messages of ${method} are${nearest === "" ? `; ${remedy}` : nearest}`;
}

type Known = MessageType | "missing" | "unclear" | undefined;

function byNumber(message: Known, number: number): Step {
  if (message === undefined || typeof message === "string") return { number, field: undefined };
  return { number, field: [...message.fields.values()].find((each) => each.number === number) };
}

interface Before {
  /** The type of the message that the named field is in. */
  readonly type: string | undefined;
  /** The part of the path before the name. */
  readonly over: string;
  readonly last: FieldType | undefined;
}

function byName(message: Known, name: string, { type, over, last }: Before): Step {
  if (last?.form === "plain") return { why: `${over} is no message, so it has no field ${name}` };
  if (message === undefined) return { why: `no descriptor says what is in ${over}, so ${name} has no number` };
  if (message === "missing")
    return { why: `the descriptors lack ${type}: make the set with all imports (protoc --include_imports, buf build)` };
  if (message === "unclear") return { why: `descriptors say different things of ${type}: apply one of them` };
  const field = message.fields.get(name);
  if (field?.form === "group")
    return { why: `${name} is a group, which cannot be cut out alone: write the message that it is in` };
  if (field !== undefined) return { number: field.number, field };
  if (last?.form === "map") return { why: `${over} is a map: write ${over}.value or ${over}.key, of all its entries` };
  const oneof = message.oneofs.get(name);
  if (oneof !== undefined) return { why: `${name} of ${type} is a oneof: write its fields, ${oneof.join(" and ")}` };
  return { why: `${type} has no field ${name}${renderNearest(name, message.fields.keys())}` };
}

/** Returns a hint if the field is not in this part of the method but in the other one. */
function inOtherPart(name: string, part: WrittenField["part"], found: MethodTypes, { messages }: MessageTypes): string {
  const other = part === "request" ? "response" : "request";
  const message = messages.get(found[other]);
  const isThere = message !== undefined && message !== "unclear" && message.fields.has(name);
  return isThere ? `; ${found[other]} has one: ${other}.${name}` : "";
}

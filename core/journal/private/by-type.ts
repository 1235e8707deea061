/** Private fields that policy names by their message type: turned into numbers for each method with such a message. */
import { renderNearest } from "../../snapshot/nearest.js";
import type { MethodTypes } from "./message-types.js";
import { type MessageTypes, numberField } from "./names.js";
import type { SubjectField } from "./subject.js";

/** A private field and whom it is about, both as "package.Message.field". */
export interface TypedField {
  readonly field: string;
  readonly subject: string;
}

const name = "[A-Za-z_]\\w*";
/** The form of a field's path in policy files: "package.Message.field", or "package.Message.field.inner" in the messages within. */
export const typedPathPattern = `^(${name}\\.)+(${name}|[1-9][0-9]{0,8})(\\.(${name}|[1-9][0-9]{0,8})){0,7}$`;
const grammar = new RegExp(typedPathPattern);
export const isTypedPath = (text: string): boolean => text.length <= 512 && grammar.test(text);

/** Returns the text that stands for a typed field until it has numbers. */
export const renderTypedField = ({ field, subject }: TypedField): string => `${field} about ${subject}`;

export function parseTypedField(text: string): TypedField | undefined {
  const [field = "", subject = "", ...more] = text.split(" about ");
  return more.length === 0 && isTypedPath(field) && isTypedPath(subject) ? { field, subject } : undefined;
}

/** What a typed field means, in numbers. */
export interface Expanded {
  /** The private fields, each with its method. */
  readonly fields: readonly { readonly method: string; readonly field: string }[];
  readonly subjects: readonly SubjectField[];
  readonly doubt: string | undefined;
}

interface OfType {
  readonly type: string;
  readonly path: readonly string[];
}

/** Returns what a typed field means for `writes`, or why that is unclear. */
export function expandTyped(
  { field, subject }: TypedField,
  writes: readonly string[],
  types: MessageTypes,
): Expanded | { readonly why: string } {
  if (types.methods.size === 0)
    return { why: `no descriptor says what ${field} is; apply its .proto or descriptor set (.binpb) too` };
  const unclear = writes.find((method) => types.methods.get(method) === "unclear");
  if (unclear !== undefined)
    return { why: `descriptors say different things of the messages of ${unclear}: apply one of them` };
  const known = writes.flatMap((method) => {
    const found = types.methods.get(method);
    return found === undefined || found === "unclear" ? [] : [{ ...found, method }];
  });
  const of = splitPath(field, known, types);
  if ("why" in of) return of;
  const fields: { method: string; field: string }[] = [];
  let doubt: string | undefined;
  for (const { method, ...message } of known) {
    for (const part of ["request", "response"] as const) {
      if (message[part] !== of.type) continue;
      const numbered = numberField({ method, part, path: of.path }, types);
      if ("why" in numbered) return numbered;
      fields.push({ method, field: numbered.field });
      doubt ??= numbered.doubt;
    }
  }
  if (fields.length === 0) return { why: whyNoWrite(of.type, known) };
  const about = splitPath(subject, known, types);
  if ("why" in about) return about;
  const subjects: SubjectField[] = [];
  for (const method of new Set(fields.map((one) => one.method))) {
    if (known.find((one) => one.method === method)?.request !== about.type) continue;
    const found = subjectOf(method, about, types);
    if ("why" in found) return found;
    subjects.push(found);
  }
  return { fields, subjects, doubt };
}

/** Splits "bank.TransferRequest.note" after the longest name of a message type. */
function splitPath(
  text: string,
  known: readonly MethodTypes[],
  { messages }: MessageTypes,
): OfType | { readonly why: string } {
  const segments = text.split(".");
  const ofMethods = known.flatMap(({ request, response }) => [request, response]);
  for (let length = segments.length - 1; length > 0; length -= 1) {
    const type = segments.slice(0, length).join(".");
    if (messages.has(type) || ofMethods.includes(type)) return { type, path: segments.slice(length) };
  }
  const given = segments.slice(0, -1).join(".");
  const nearest = renderNearest(given, [...new Set([...messages.keys(), ...ofMethods])]);
  return { why: `no descriptor has a message ${given}${nearest}` };
}

function whyNoWrite(type: string, known: readonly MethodTypes[]): string {
  const others = [...new Set(known.flatMap(({ request, response }) => [request, response]))];
  const some =
    others.length === 0 ? "" : `; they have ${others.slice(0, 5).join(", ")}${others.length > 5 ? " …" : ""}`;
  return `no write of the journal has ${type} as its request or its response${some}`;
}

function subjectOf(
  method: string,
  { type, path }: OfType,
  types: MessageTypes,
): SubjectField | { readonly why: string } {
  const [name = "", ...rest] = path;
  if (rest.length > 0)
    return { why: `subject: ${type}.${path.join(".")} is within ${name}: name a field of ${type} itself` };
  const numbered = numberField({ method, part: "request", path }, types);
  if ("why" in numbered) return { why: `subject: ${numbered.why}` };
  const number = Number(numbered.field.slice(numbered.field.lastIndexOf(".") + 1));
  const message = types.messages.get(type);
  const [found, field] =
    message === undefined || message === "unclear"
      ? []
      : ([...message.fields].find(([, one]) => one.number === number) ?? []);
  if (message === undefined || message === "unclear" || found === undefined || field === undefined)
    return { why: `subject: no descriptor says of which type ${name} of ${type} is` };
  const oneof = [...message.oneofs].find(([, names]) => names.length > 1 && names.includes(found));
  if (oneof !== undefined)
    return { why: `subject: ${found} of ${type} is in the oneof ${oneof[0]}, so a message may lack it` };
  if (field.scalar === undefined || field.scalar === "other")
    return { why: `subject: ${found} of ${type} is not a single string, bytes, integer or enum` };
  return { method, number, type: field.scalar };
}

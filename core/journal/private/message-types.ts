/** The message types of Descriptors, one line for each: the fields of a message by name and number. */
import { type SubjectType, subjectTypes } from "./subject.js";

/** A field of a message. */
export interface FieldType {
  readonly number: number;
  /** "plain": a number, a string, bytes, or an enum. A map is a list of messages with `key` and `value`. */
  readonly form: "plain" | "message" | "map" | "group";
  /** The full name of the message type. "": the field is plain or a group. */
  readonly type: string;
  /**
   * The type of a plain field that is not repeated, if the descriptor says it; an enum is an int32. "other": it cannot
   * be a subject.
   */
  readonly scalar?: SubjectType | "other";
}

export interface MessageType {
  /** The full name: "package.Message". */
  readonly name: string;
  readonly fields: ReadonlyMap<string, FieldType>;
  /** The names of the fields in each oneof. */
  readonly oneofs: ReadonlyMap<string, readonly string[]>;
}

/** The message types of a method. */
export interface MethodTypes {
  /** The method's name without the service. */
  readonly method: string;
  readonly request: string;
  readonly response: string;
}

const name = "[A-Za-z_]\\w*";
const fullName = `${name}(?:\\.${name})*`;
const number = "[1-9][0-9]{0,8}";
const scalars = [...subjectTypes, "other"].join("|");

export const methodTypesPattern = `^${name} ${fullName} ${fullName}$`;
export const messageTypePattern = `^${fullName}( ${name}=(${number}(/(?:${scalars})|:group|(:map)?:${fullName})?|oneof:${name}(,${name})*))*$`;
const methodTypesGrammar = new RegExp(methodTypesPattern);
const messageTypeGrammar = new RegExp(messageTypePattern);

/** Parses "Charge shop.Order shop.Receipt". undefined: the text has another form. */
export function parseMethodTypes(text: string): MethodTypes | undefined {
  if (!methodTypesGrammar.test(text)) return undefined;
  const [method = "", request = "", response = ""] = text.split(" ");
  return { method, request, response };
}

/** Parses "shop.Order id=1/int64 buyer=2:shop.Person pay=oneof:card,cash". undefined: the text has another form. */
export function parseMessageType(text: string): MessageType | undefined {
  if (!messageTypeGrammar.test(text)) return undefined;
  const [type = "", ...parts] = text.split(" ");
  const fields = new Map<string, FieldType>();
  const oneofs = new Map<string, readonly string[]>();
  for (const part of parts) {
    const [field = "", said = ""] = part.split("=");
    if (fields.has(field) || oneofs.has(field)) return undefined;
    const [first = "", ...rest] = said.split(":");
    if (first === "oneof") oneofs.set(field, (rest[0] ?? "").split(","));
    else {
      const [digits = "", scalar] = first.split("/");
      const type = fieldTypeOf(Number(digits), rest);
      fields.set(field, scalar === undefined ? type : { ...type, scalar: scalar as SubjectType | "other" });
    }
  }
  return { name: type, fields, oneofs };
}

function fieldTypeOf(number: number, rest: readonly string[]): FieldType {
  const [first = "", second] = rest;
  if (second !== undefined) return { number, form: "map", type: second };
  if (first === "group") return { number, form: "group", type: "" };
  return { number, form: first === "" ? "plain" : "message", type: first };
}

/** Returns the text that `parseMethodTypes` reads. */
export const renderMethodTypes = ({ method, request, response }: MethodTypes): string =>
  `${method} ${request} ${response}`;

/** Returns the text that `parseMessageType` reads. */
export function renderMessageType({ name: type, fields, oneofs }: MessageType): string {
  const written = [...fields].map(([field, { number, form, type: inner, scalar }]) => {
    if (form === "plain") return `${field}=${number}${scalar === undefined ? "" : `/${scalar}`}`;
    if (form === "group") return `${field}=${number}:group`;
    return `${field}=${number}:${form === "map" ? "map:" : ""}${inner}`;
  });
  const choices = [...oneofs].map(([oneof, names]) => `${oneof}=oneof:${names.join(",")}`);
  return [type, ...written, ...choices].join(" ");
}

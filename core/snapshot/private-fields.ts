/**
 * Replaces names of journals' private fields by numbers, which is what is stored, with the descriptors among the files.
 */
import { parseTypedField } from "../journal/private/by-type.js";
import {
  type MessageType,
  type MethodTypes,
  parseMessageType,
  parseMethodTypes,
} from "../journal/private/message-types.js";
import { type MessageTypes, numberField } from "../journal/private/names.js";
import { parseWrittenField } from "../journal/private/plan.js";
import type { Callee } from "../kinds/callee.js";
import type { Journal } from "../kinds/journal/journal.js";
import type { Finding } from "../model.js";
import type { Descriptor } from "./descriptor-shape.js";
import { numberTypedFields } from "./private-by-type.js";
import type { SourcedObject } from "./sourced-object.js";

/**
 * Returns the objects with each private field's names replaced by numbers. A field that cannot be is reported and
 * stays.
 */
export function numberPrivateFields(
  objects: readonly SourcedObject[],
  descriptors: readonly Descriptor[],
  report: (finding: Finding) => void,
): readonly SourcedObject[] {
  let types: MessageTypes | undefined; // created only if a journal has private fields
  const described = new Set(descriptors.flatMap(({ name, methods }) => methods.map((method) => `${name}/${method}`)));
  return objects.map((sourced) => {
    const { object } = sourced;
    if (object.kind !== "Journal" || object.private === undefined) return sourced;
    types ??= typesOf(descriptors);
    if (object.private.fields.some((text) => parseTypedField(text) !== undefined))
      return numberTypedFields(sourced, object, serviceOf(objects, object.service), { types, described }, report);
    return numberFieldsOf(sourced, object, object.private, types, report);
  });
}

function serviceOf(objects: readonly SourcedObject[], name: string): Callee | undefined {
  for (const { object } of objects) if (object.kind === "Service" && object.name === name) return object;
  return undefined;
}

function numberFieldsOf(
  sourced: SourcedObject,
  object: Journal,
  hidden: NonNullable<Journal["private"]>,
  types: MessageTypes,
  report: (finding: Finding) => void,
): SourcedObject {
  const seen = new Map<string, string>();
  const fields = hidden.fields.map((text) => {
    const written = parseWrittenField(text);
    if (written === undefined) return text;
    const tell = (severity: Finding["severity"], message: string): string => {
      const { line, column, field } = sourced.places.get(`private.fields=${text}`) ?? { ...sourced, field: "private" };
      report({ severity, file: sourced.file, line, column, field, message });
      return text;
    };
    const numbered = numberField(written, types);
    if ("why" in numbered) return tell("error", numbered.why);
    const { field, doubt } = numbered;
    const other = seen.get(field);
    if (other !== undefined)
      return tell("error", `it is ${field}, which is in the list already${other === field ? "" : `, as ${other}`}`);
    seen.set(field, text);
    if (doubt !== undefined) tell("warning", doubt);
    return field;
  });
  // the same object, so that what is cached about it stays valid
  if (fields.every((field, index) => field === hidden.fields[index])) return sourced;
  return { ...sourced, object: { ...object, private: { ...hidden, fields } } };
}

function typesOf(descriptors: readonly Descriptor[]): MessageTypes {
  const methods = new Clear<MethodTypes>();
  const messages = new Clear<MessageType>();
  for (const { name, types, messages: inFile } of descriptors) {
    for (const text of types) {
      const found = parseMethodTypes(text);
      if (found !== undefined) methods.add(`${name}/${found.method}`, found, text);
    }
    for (const text of inFile) {
      const found = parseMessageType(text);
      if (found !== undefined) messages.add(found.name, found, text);
    }
  }
  return { methods: methods.found, messages: messages.found };
}

/** A value that is stated once, or always in the same way. */
class Clear<Value> {
  readonly found = new Map<string, Value | "unclear">();
  readonly #texts = new Map<string, string>();

  add(name: string, value: Value, text: string): void {
    const before = this.#texts.get(name);
    if (before === undefined) this.found.set(name, value);
    else if (before !== text) this.found.set(name, "unclear");
    this.#texts.set(name, before ?? text);
  }
}

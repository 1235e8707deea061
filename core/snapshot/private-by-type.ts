/** Replaces private fields that a Journal names by message type by those of each of its writes, in numbers. */
import { type Expanded, expandTyped, parseTypedField } from "../journal/private/by-type.js";
import type { MessageTypes } from "../journal/private/names.js";
import { renderSubjectField } from "../journal/private/subject.js";
import type { Callee } from "../kinds/callee.js";
import type { Journal } from "../kinds/journal/journal.js";
import type { Finding } from "../model.js";
import { serviceOfMethod } from "./grammar.js";
import type { Place } from "./reading.js";
import type { SourcedObject } from "./sourced-object.js";

/** Returns the object in numbers. What cannot be is reported, and the object stays. */
export function numberTypedFields(
  sourced: SourcedObject,
  object: Journal,
  service: Callee | undefined,
  { types, described }: { readonly types: MessageTypes; readonly described: ReadonlySet<string> },
  report: (finding: Finding) => void,
): SourcedObject {
  const found = new Map<string, { readonly text: string; readonly place: Place }>();
  const subjects = new Map<string, string>();
  const writes = [...types.methods.keys()].filter((method) => isWrite(method, object, service));
  let isWhole = true;
  const tell = (severity: Finding["severity"], { line, column, field }: Place, message: string): void => {
    report({ severity, file: sourced.file, line, column, field, message });
    if (severity === "error") isWhole = false;
  };
  const expanded: { readonly place: Place; readonly entry: Expanded }[] = [];
  for (const text of object.private?.fields ?? []) {
    const typed = parseTypedField(text);
    const place = sourced.places.get(`private=${text}`) ?? { ...sourced, field: "private" };
    const entry = typed && expandTyped(typed, writes, types);
    if (entry === undefined) continue;
    if ("why" in entry) {
      tell("error", place, entry.why);
      continue;
    }
    expanded.push({ place, entry });
    if (entry.doubt !== undefined) tell("warning", place, entry.doubt);
    for (const subject of entry.subjects) {
      const stated = renderSubjectField(subject);
      const other = subjects.get(subject.method);
      if (other !== undefined && other !== stated)
        tell("error", place, `${subject.method} has another subject already, ${other}: its private fields have one`);
      else subjects.set(subject.method, stated);
    }
    for (const { field } of entry.fields) {
      const other = found.get(field);
      if (other === undefined) found.set(field, { text, place });
      else tell("error", place, `it is ${field}, which is in the list already`);
    }
  }
  if (!isWhole) return sourced;
  for (const { place, entry } of expanded) {
    const missing = entry.fields.find(({ method }) => !subjects.has(method))?.method;
    const of = missing === undefined ? undefined : types.methods.get(missing);
    if (missing !== undefined && of !== undefined && of !== "unclear")
      tell(
        "error",
        place,
        `nothing says whom ${missing} is about: name a field of ${of.request} as the subject, here or in another entry`,
      );
  }
  if (!isWhole) return sourced;
  const fields = [...found.keys()].sort();
  const places = new Map(sourced.places);
  for (const [index, field] of fields.entries()) {
    const place = found.get(field)?.place;
    if (place !== undefined) places.set(`private.fields[${index}]`, place);
  }
  const undescribed = undescribedWrites(object, service, described);
  const stored = {
    ...{ subjects: [...subjects.values()].sort(), fields },
    ...(undescribed.length > 0 && { undescribed }),
  };
  return { ...sourced, places, object: { ...object, private: stored } };
}

/**
 * Returns the writes that no descriptor states, sorted: their private fields are not known. "*": any method may be one,
 * since neither the Service nor the Journal names all of them.
 */
function undescribedWrites(
  object: Journal,
  service: Callee | undefined,
  described: ReadonlySet<string>,
): readonly string[] {
  const [stated, written] = [service?.methods ?? [], object.methods ?? []];
  const names = stated.length > 0 ? stated : written;
  const isDescribed = (name: string): boolean =>
    described.has(name) || (name.endsWith("/*") && [...described].some((one) => one.startsWith(name.slice(0, -1))));
  const missing = names.filter((name) => isWrite(name, object, service) && !isDescribed(name));
  return names.length > 0 ? [...new Set(missing)].sort() : ["*"];
}

/** Whether a journal stores calls of this method, which descriptors state. */
function isWrite(method: string, { methods = [] }: Journal, service: Callee | undefined): boolean {
  const stated = service?.methods ?? [];
  if (stated.length > 0 && !isIn(stated, method)) return false;
  return methods.length > 0 ? isIn(methods, method) : !isIn(service?.noSideEffects ?? [], method);
}

const isIn = (patterns: readonly string[], method: string): boolean =>
  [method, `${serviceOfMethod(method)}/*`, "*"].some((pattern) => patterns.includes(pattern));

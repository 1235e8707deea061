/** Which fields of its writes a journal stores for their holder alone, and whom those are about. */
import { isTypedPath, renderTypedField, type TypedField, typedPathPattern } from "../../journal/private/by-type.js";
import { holderKeyPattern, isHolderKey } from "../../journal/private/keys.js";
import { parsePrivateField, parseWrittenField, writtenFieldPattern } from "../../journal/private/plan.js";
import { parseSubjectField, subjectFieldPattern, subjectsOf } from "../../journal/private/subject.js";
import { serviceOfMethod } from "../../snapshot/grammar.js";
import type { Reading } from "../../snapshot/reading.js";
import {
  list as listShape,
  record as recordShape,
  required as requiredShape,
  type Shape,
} from "../../snapshot/shapes.js";
import { isSeq } from "../../snapshot/yaml-nodes.js";
import type { PolicyChecker } from "../checker.js";
import { keyExpression } from "../condition.js";
import { textSet } from "../list.js";
import { methodPatterns } from "../names.js";
import { maybe, type RecordOf, record, required } from "../record.js";
import { type Type, writtenAs } from "../type.js";
import { text } from "../types.js";
import { warnWithoutIssuer } from "./without-issuer.js";

const expectedField =
  'a private field: "package.Service/Method request.3", with the names or numbers of fields from the message on';

/** A private field in stored policy: its path is numbers alone. */
const privateField = text({
  expected: expectedField,
  pattern: writtenFieldPattern,
  valid: (value) => parsePrivateField(value) !== undefined,
});
const whenEmpty = "name the private fields";
const fieldsOptions = { whenEmpty, neverEmpty: true };

/** Private fields in files: names become numbers once all files are read (`numberPrivateFields`). */
const writtenFields = textSet(
  text({
    expected: expectedField,
    pattern: writtenFieldPattern,
    valid: (value) => parseWrittenField(value) !== undefined,
    hint: (value) => (value.includes("[]") ? "leave out []: all items of a repeated field are meant" : ""),
  }),
  fieldsOptions,
);

const subjectField = text({
  expected: 'a subject: "package.Service/Method request.2" of a string, with its type after it of any other',
  pattern: subjectFieldPattern,
  valid: (value) => parseSubjectField(value) !== undefined,
});

const fields = {
  subject: maybe(
    14,
    keyExpression,
    "CEL that names whom a write is about, in 1 to 512 bytes: its private fields are shredded together. Required without subjects.",
  ),
  subjects: maybe(
    19,
    textSet(subjectField, { whenEmpty: "leave it out, and give a subject", neverEmpty: true }),
    'Instead of a subject: the field of each method\'s request that has it, by number ("package.Service/Method request.2", or "… request.2 int64"). The list of fields by message type is stored so.',
  ),
  holder: maybe(
    15,
    text({
      expected: "the public key of a holder: base64 of SubjectPublicKeyInfo of X25519",
      pattern: holderKeyPattern,
      valid: isHolderKey,
    }),
    "Who may read them: a public key of X25519, as openssl prints it; left out: the holder in the trust log (`ashlar journal holder set`).",
  ),
  fields: required(
    16,
    writtenAs(textSet(privateField, fieldsOptions), writtenFields.shape),
    [],
    'Which fields: "package.Service/Method request.customer.name", or response, with names by the descriptors that are applied too, or numbers ("request.3.1"); what is stored is the numbers.',
  ),
  undescribed: maybe(
    20,
    methodPatterns,
    "Writes that no descriptor described when a list of fields by message type was applied: all that they store is in clear. `*`: any that the Service does not state. Written by `ashlar apply`.",
  ),
};

export interface PrivateFields extends RecordOf<typeof fields> {}

const byMethod = record("private fields", fields, {
  why: (value) =>
    value.subject === undefined && value.subjects === undefined ? "subject is missing" : whyNoSubjects(value),
  refine: (found, field, reading) => reportSubjects(found, field, reading),
});

/** Reports a missing subject, and subjects that do not fit the fields. Returns the fields. */
function reportSubjects(found: PrivateFields, field: string, reading: Reading): PrivateFields {
  const [subject, subjects] = [`${field}.subject`, `${field}.subjects`];
  const isStated = reading.places.has(subject) || reading.places.has(subjects);
  const why = isStated ? whyNoSubjects(found) : `"subject" is missing: expected ${keyExpression.shape.expected}`;
  const at = isStated ? subjects : subject;
  const place = reading.places.get(at) ?? reading.places.get(field);
  if (why !== undefined && place !== undefined) reading.report({ ...place, field: at }, why);
  return found;
}

/** Returns what is wrong with subjects by method, or undefined. */
function whyNoSubjects({ subject, subjects, fields }: PrivateFields): string | undefined {
  if (subjects === undefined) return undefined;
  if (subject !== undefined) return "there is a subject, too: one of both says whom a write is about";
  const known = subjectsOf(subjects);
  if (known.size < subjects.length) return "a method is there twice: its private fields have one subject";
  const methods = new Set(fields.flatMap((one) => parseWrittenField(one)?.method ?? []));
  const missing = [...methods].find((method) => !known.has(method));
  if (missing !== undefined) return `${missing} has private fields, and no subject`;
  const spare = [...known.keys()].find((method) => !methods.has(method));
  return spare && `${spare} has a subject, and no private fields`;
}

const typedPath = (example: string): Shape<string> =>
  text({
    expected: `a field of a message type: "${example}"`,
    pattern: typedPathPattern,
    valid: isTypedPath,
    hint: (value) => (value.includes("[]") ? "leave out []: all items of a repeated field are meant" : ""),
  }).shape;

const typedField: Shape<TypedField> = recordShape("a private field of a message type", {
  field: requiredShape(typedPath("bank.TransferRequest.note"), "", "The field, in every method with this message."),
  subject: requiredShape(
    typedPath("bank.TransferRequest.owner"),
    "",
    "The field of the request whose value says whom a write is about.",
  ),
});
const byType = listShape(typedField, {
  whenEmpty,
  keyOf: (entry) => (entry.field === "" || entry.subject === "" ? "" : renderTypedField(entry)),
});

/** A list is of fields by message type, which become numbers for each method once all files are read. */
export const privateFields: Type<PrivateFields> = writtenAs(byMethod, {
  ...byMethod.shape,
  schema: { anyOf: [byMethod.shape.schema, byType.schema] },
  read(node, field, reading) {
    const found = reading.follow(node, field);
    if (!isSeq(found)) return byMethod.shape.read(node, field, reading);
    const entries = byType.read(found, field, reading)?.filter(({ field: of, subject }) => of !== "" && subject !== "");
    return entries && { fields: entries.map(renderTypedField) };
  },
});

/** The fields of a journal that private fields have to fit. */
interface CheckedJournal {
  readonly service: string;
  readonly methods?: readonly string[] | undefined;
  readonly idempotencyKey: string | undefined;
  readonly bidirectional?: readonly string[] | undefined;
}

export function checkPrivate(
  { service, methods = [], idempotencyKey, bidirectional = [] }: CheckedJournal,
  { subject, holder, fields, undescribed }: PrivateFields,
  checker: PolicyChecker,
): void {
  const inClear = renderInClear(service, undescribed);
  if (inClear !== undefined) checker.warn("private", inClear);
  if (holder === undefined && checker.whole && checker.context.hasJournalHolder === false)
    checker.error(
      "private",
      "nobody could read them: the mesh has no holder of private fields; set one with `ashlar journal holder set FILE`, or name a holder here",
    );
  warnWithoutIssuer(subject, "private.subject", checker);
  for (const [index, written] of fields.entries()) {
    const place = `private.fields[${index}]`;
    const field = parsePrivateField(written);
    if (field === undefined) continue;
    const { method, part } = field;
    checker.methods(service, [method], place);
    if (methods.length > 0 && !isListed(methods, method))
      checker.error(place, `${method} is not among the methods of the journal, which stores nothing of it`);
    if (isListed(bidirectional, method))
      checker.error(
        place,
        `${method} is bidirectional: its messages are stored as they come, before all is known of them`,
      );
    if (part === "response" && idempotencyKey !== undefined)
      checker.error(
        place,
        "a repeat under an idempotencyKey is answered with the response, which no proxy can read again",
      );
  }
}

const inClearNamedMax = 5;

/** Returns which writes of a journal are stored in clear because no descriptor describes them, and the remedy; or undefined. */
export function renderInClear(service: string, undescribed: readonly string[] = []): string | undefined {
  if (undescribed.length === 0) return undefined;
  const named = undescribed.filter((method) => method !== "*");
  if (named.length === 0)
    return `a write of ${service} that no descriptor describes is stored in clear: let Service ${service} state its methods, or name the writes in methods of the Journal`;
  const more = named.length > inClearNamedMax ? ` and ${named.length - inClearNamedMax} more` : "";
  return `no descriptor describes ${named.slice(0, inClearNamedMax).join(", ")}${more}: what they write to the journal of ${service} is stored in clear; apply their .proto or descriptor set (.binpb) too`;
}

const isListed = (methods: readonly string[], method: string): boolean =>
  methods.some((one) => one === method || one === "*" || one === `${serviceOfMethod(method)}/*`);

/**
 * Returns the message types of methods in the form that Descriptors in policy files have, from protobuf descriptors.
 */
import { isFieldSet } from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  type FieldDescriptorProto,
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FieldDescriptorProtoSchema,
  type FileDescriptorProto,
} from "@bufbuild/protobuf/wkt";
import {
  type FieldType,
  type MethodTypes,
  renderMessageType,
  renderMethodTypes,
} from "../core/journal/private/message-types.js";
import { subjectTypes } from "../core/journal/private/subject.js";

/** The message types in a Descriptor. */
export interface DescriptorTypes {
  readonly types: readonly string[];
  readonly messages: readonly string[];
}

/** The methods whose messages are described. */
export interface WantedTypes {
  /** "package.Service/Method". */
  readonly methods: ReadonlySet<string>;
  /** Private fields by message type, "package.Message.field": the methods that have such messages are described. */
  readonly fields: readonly string[];
}

interface Message {
  readonly name: string;
  readonly proto: DescriptorProto;
}

/**
 * Returns the messages of the wanted methods of a gRPC service, and all messages in them that the files contain. A message
 * is left out if the parsed .proto file does not tell which of two types one of its fields has.
 */
export function typesOfMethods(
  files: readonly FileDescriptorProto[],
  service: string,
  wanted: WantedTypes,
): DescriptorTypes {
  const known = messagesOf(files);
  const found = new Map<string, string>();
  const open: string[] = [];
  const types: string[] = [];
  const all = files.flatMap((file) => methodsIn(file, service, known));
  const ofFields = methodsOfFields(all, wanted.fields);
  for (const one of all) {
    if (!wanted.methods.has(`${service}/${one.method}`) && !ofFields.has(one.method)) continue;
    types.push(renderMethodTypes(one));
    open.push(one.request, one.response);
  }
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    const message = known.get(name);
    if (message === undefined || found.has(name)) continue;
    const described = describe(message, known, wanted.fields.length > 0);
    if (described === undefined) continue;
    found.set(name, described.text);
    open.push(...described.inside);
  }
  return { types: types.sort(), messages: [...found.values()].sort() };
}

function methodsIn(file: FileDescriptorProto, service: string, known: ReadonlyMap<string, Message>): MethodTypes[] {
  return file.service
    .filter(({ name }) => join(file.package, name) === service)
    .flatMap(({ method }) => method)
    .flatMap(({ name: method, inputType, outputType }) => {
      const [request, response] = [resolve(inputType, service, known), resolve(outputType, service, known)];
      return request === undefined || response === undefined ? [] : [{ method, request, response }];
    });
}

/**
 * Returns the methods that have a message of which a field is named. Of a field of no such message, the methods with
 * messages of its package, so that a message of a similar name can be suggested.
 */
function methodsOfFields(methods: readonly MethodTypes[], fields: readonly string[]): ReadonlySet<string> {
  const found = fields.flatMap((field) => {
    const having = (start: (type: string) => string) =>
      methods.filter(({ request, response }) => [request, response].some((type) => field.startsWith(start(type))));
    const exact = having((type) => `${type}.`);
    return exact.length > 0 ? exact : having((type) => type.slice(0, type.lastIndexOf(".") + 1) || "\0");
  });
  return new Set(found.map(({ method }) => method));
}

const join = (namespace: string, name: string): string => (namespace === "" ? name : `${namespace}.${name}`);

function messagesOf(files: readonly FileDescriptorProto[]): ReadonlyMap<string, Message> {
  const found = new Map<string, Message>();
  const add = (namespace: string, proto: DescriptorProto): void => {
    const name = join(namespace, proto.name);
    found.set(name, { name, proto });
    for (const nested of proto.nestedType) add(name, nested);
  };
  for (const file of files) for (const message of file.messageType) add(file.package, message);
  return found;
}

/** `withScalars`: also the types of plain fields, which an earlier control plane does not take. */
function describe({ name, proto }: Message, known: ReadonlyMap<string, Message>, withScalars: boolean) {
  const fields = new Map<string, FieldType>();
  const oneofs = new Map<string, string[]>();
  const inside: string[] = [];
  for (const field of proto.field.filter(({ extendee }) => extendee === "")) {
    const type = typeOf(field, name, known);
    if (type === undefined) return undefined;
    fields.set(field.name, withScalars && type.form === "plain" ? { ...type, scalar: scalarOf(field) } : type);
    if (type.type !== "") inside.push(type.type);
    const oneof = oneofOf(field, proto);
    if (oneof !== undefined) oneofs.set(oneof, [...(oneofs.get(oneof) ?? []), field.name]);
  }
  return { text: renderMessageType({ name, fields, oneofs }), inside };
}

/**
 * Returns the oneof that somebody wrote around a field. An `optional` field of proto3 has a generated one of its own, which
 * compilers mark. The parser of .proto files does not mark it, but names it after its only field.
 */
function oneofOf(field: FieldDescriptorProto, { oneofDecl, field: all }: DescriptorProto): string | undefined {
  const isIn = (one: FieldDescriptorProto): boolean =>
    isFieldSet(one, FieldDescriptorProtoSchema.field.oneofIndex) && one.oneofIndex === field.oneofIndex;
  const name = isIn(field) ? oneofDecl[field.oneofIndex]?.name : undefined;
  const isGenerated = field.proto3Optional || (name === `_${field.name}` && all.filter(isIn).length === 1);
  return isGenerated ? undefined : name;
}

function typeOf(field: FieldDescriptorProto, of: string, known: ReadonlyMap<string, Message>): FieldType | undefined {
  const { number, type, typeName } = field;
  if (type === FieldDescriptorProto_Type.GROUP) return { number, form: "group", type: "" };
  if (type !== FieldDescriptorProto_Type.MESSAGE) return { number, form: "plain", type: "" };
  const name = resolve(typeName, of, known);
  if (name === undefined) return undefined;
  const isMap = known.get(name)?.proto.options?.mapEntry === true;
  return { number, form: isMap ? "map" : "message", type: name };
}

function scalarOf({ type, label }: FieldDescriptorProto): FieldType["scalar"] & string {
  if (label === FieldDescriptorProto_Label.REPEATED) return "other";
  if (type === FieldDescriptorProto_Type.ENUM) return "int32";
  const name = FieldDescriptorProto_Type[type].toLowerCase();
  return subjectTypes.find((one) => one === name) ?? "other";
}

/**
 * Returns the full name of a type. undefined: there are two candidates. Compilers write a leading dot. The parser of
 * .proto files writes the name as seen from `scope`, where an inner type may hide the intended one.
 */
function resolve(typeName: string, scope: string, known: ReadonlyMap<string, Message>): string | undefined {
  if (typeName.startsWith(".")) return typeName.slice(1);
  const scopes = scope.split(".");
  const names = scopes.map((_, index) => [...scopes.slice(0, scopes.length - index), typeName].join("."));
  const found = [...names, typeName].filter((name) => known.has(name));
  return found.length > 1 ? undefined : (found[0] ?? typeName);
}

/**
 * Returns the message types of methods in the form that Descriptors in policy files have, from protobuf descriptors.
 */
import { isFieldSet } from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  type FieldDescriptorProto,
  FieldDescriptorProto_Type,
  FieldDescriptorProtoSchema,
  type FileDescriptorProto,
} from "@bufbuild/protobuf/wkt";
import { type FieldType, renderMessageType, renderMethodTypes } from "../core/journal/private/message-types.js";

/** The message types in a Descriptor. */
export interface DescriptorTypes {
  readonly types: readonly string[];
  readonly messages: readonly string[];
}

interface Message {
  readonly name: string;
  readonly proto: DescriptorProto;
}

/**
 * Returns the messages of these methods of a gRPC service, and all messages in them that the files contain. A message
 * is left out if the parsed .proto file does not tell which of two types one of its fields has.
 */
export function typesOfMethods(
  files: readonly FileDescriptorProto[],
  service: string,
  methods: readonly string[],
): DescriptorTypes {
  const known = messagesOf(files);
  const found = new Map<string, string>();
  const open: string[] = [];
  const types: string[] = [];
  for (const file of files) {
    for (const { name, method } of file.service.filter((each) => join(file.package, each.name) === service)) {
      for (const { name: of, inputType, outputType } of method.filter((each) => methods.includes(each.name))) {
        const scope = join(file.package, name);
        const [request, response] = [resolve(inputType, scope, known), resolve(outputType, scope, known)];
        if (request === undefined || response === undefined) continue;
        types.push(renderMethodTypes({ method: of, request, response }));
        open.push(request, response);
      }
    }
  }
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    const message = known.get(name);
    if (message === undefined || found.has(name)) continue;
    const described = describe(message, known);
    if (described === undefined) continue;
    found.set(name, described.text);
    open.push(...described.inside);
  }
  return { types: types.sort(), messages: [...found.values()].sort() };
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

function describe({ name, proto }: Message, known: ReadonlyMap<string, Message>) {
  const fields = new Map<string, FieldType>();
  const oneofs = new Map<string, string[]>();
  const inside: string[] = [];
  for (const field of proto.field.filter(({ extendee }) => extendee === "")) {
    const type = typeOf(field, name, known);
    if (type === undefined) return undefined;
    fields.set(field.name, type);
    if (type.type !== "") inside.push(type.type);
    const oneof = isOfOneof(field) ? proto.oneofDecl[field.oneofIndex]?.name : undefined;
    if (oneof !== undefined) oneofs.set(oneof, [...(oneofs.get(oneof) ?? []), field.name]);
  }
  return { text: renderMessageType({ name, fields, oneofs }), inside };
}

/**
 * Whether a field belongs to a oneof that somebody wrote. An `optional` field of proto3 has a generated one of its own.
 */
const isOfOneof = (field: FieldDescriptorProto): boolean =>
  !field.proto3Optional && isFieldSet(field, FieldDescriptorProtoSchema.field.oneofIndex);

function typeOf(field: FieldDescriptorProto, of: string, known: ReadonlyMap<string, Message>): FieldType | undefined {
  const { number, type, typeName } = field;
  if (type === FieldDescriptorProto_Type.GROUP) return { number, form: "group", type: "" };
  if (type !== FieldDescriptorProto_Type.MESSAGE) return { number, form: "plain", type: "" };
  const name = resolve(typeName, of, known);
  if (name === undefined) return undefined;
  const isMap = known.get(name)?.proto.options?.mapEntry === true;
  return { number, form: isMap ? "map" : "message", type: name };
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

/** Answers of the admin API in which each text is one that somebody could have written to steer a reader's terminal. */
import {
  createFileRegistry,
  type DescField,
  type DescMessage,
  fromBinary,
  fromJson,
  type JsonObject,
  type JsonValue,
  ScalarType,
  toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { descriptorSet } from "../../proto/gen/descriptors.js";

const depthMax = 6;

/** Returns an encoded answer for each method of AdminService by the name of its handler, with every field set. */
export function buildHostileAnswers(text: string): ReadonlyMap<string, Uint8Array> {
  const set = fromBinary(FileDescriptorSetSchema, Buffer.from(descriptorSet, "base64"));
  const service = createFileRegistry(set).getService("ashlar.v1.AdminService");
  const methods = service?.methods ?? [];
  return new Map(
    methods.map(({ localName, output }) => [localName, toBinary(output, fromJson(output, fill(output, text, 0)))]),
  );
}

function fill(desc: DescMessage, text: string, depth: number): JsonObject {
  const message: JsonObject = {};
  for (const field of desc.fields) {
    if (field.oneof !== undefined && field.oneof.fields[0] !== field) continue;
    const value = fieldValue(field, text, depth);
    if (value !== undefined) message[field.jsonName] = field.fieldKind === "list" ? [value] : value;
  }
  return message;
}

function fieldValue(field: DescField, text: string, depth: number): JsonValue | undefined {
  if (field.fieldKind === "map") return undefined;
  const { message, scalar, enum: values } = field;
  if (message !== undefined)
    return depth >= depthMax || message.typeName.startsWith("google.") ? undefined : fill(message, text, depth + 1);
  if (values !== undefined) return values.values.find(({ number }) => number > 0)?.name;
  if (scalar === ScalarType.STRING) return text;
  if (scalar === ScalarType.BYTES) return Buffer.alloc(32, 0x9b).toString("base64");
  return scalar === ScalarType.BOOL ? true : 3;
}

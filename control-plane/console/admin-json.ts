/**
 * Messages of the admin API as JSON (proto3 JSON, with 64-bit numbers as numbers). It works from their descriptors, so
 * that no message needs code of its own.
 */
import {
  createFileRegistry,
  type DescMessage,
  type DescMethod,
  fromBinary,
  fromJson,
  type JsonValue,
  ScalarType,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { AshlarError, messageOf } from "../../core/errors.js";
import { descriptorSet } from "../../proto/gen/descriptors.js";

export type { JsonValue };

export interface JsonMethod {
  /** The name of the RPC: "GetStatus". */
  readonly name: string;
  /** The name of its handler: "getStatus". */
  readonly handlerName: string;
  readonly streams: boolean;
  /**
   * Encodes a request; fails with `invalid_argument` on a malformed one, or one with a field that this version does not
   * know.
   */
  encodeRequest(json: unknown): Uint8Array;
  /** Renders a response as JSON, including fields with their default value. */
  renderResponse(bytes: Uint8Array): JsonValue;
}

/** Returns the methods of AdminService by name, except those with streamed requests. */
export function createAdminJson(): ReadonlyMap<string, JsonMethod> {
  const set = fromBinary(FileDescriptorSetSchema, Buffer.from(descriptorSet, "base64"));
  const service = createFileRegistry(set).getService("ashlar.v1.AdminService");
  if (service === undefined) throw new AshlarError("internal", "the descriptors have no AdminService");
  return new Map(
    service.methods
      .filter(({ methodKind }) => methodKind === "unary" || methodKind === "server_streaming")
      .map((method) => [method.name, describe(method)]),
  );
}

function describe({ name, localName, methodKind, input, output }: DescMethod): JsonMethod {
  return {
    name,
    handlerName: localName,
    streams: methodKind === "server_streaming",
    encodeRequest: (json) => {
      try {
        return toBinary(input, fromJson(input, json as JsonValue));
      } catch (cause) {
        const why = messageOf(cause).replace(/^cannot decode message \S+ from JSON: /, "");
        throw new AshlarError("invalid_argument", `the request is no ${input.name}: ${why}`, { cause });
      }
    },
    renderResponse: (bytes) =>
      withNumbers(output, toJson(output, fromBinary(output, bytes), { alwaysEmitImplicit: true })),
  };
}

const bigTypes: ReadonlySet<ScalarType> = new Set([
  ScalarType.INT64,
  ScalarType.UINT64,
  ScalarType.SINT64,
  ScalarType.FIXED64,
  ScalarType.SFIXED64,
]);
const bigWrappers: ReadonlySet<string> = new Set(["google.protobuf.UInt64Value", "google.protobuf.Int64Value"]);

/**
 * Turns 64-bit numbers, which protobuf's JSON writes as text, into numbers: every part of the mesh treats them as
 * numbers, and they are safe integers.
 */
function withNumbers(message: DescMessage, json: JsonValue): JsonValue {
  if (bigWrappers.has(message.typeName)) return Number(json);
  if (typeof json !== "object" || json === null || Array.isArray(json)) return json;
  for (const field of message.fields) {
    const value = json[field.jsonName];
    if (value === undefined || value === null) continue;
    if (field.fieldKind === "scalar" && bigTypes.has(field.scalar)) json[field.jsonName] = Number(value);
    else if (field.fieldKind === "message") json[field.jsonName] = withNumbers(field.message, value);
    else if (field.fieldKind === "list" && Array.isArray(value)) json[field.jsonName] = listed(field, value);
    else if (field.fieldKind === "map") json[field.jsonName] = mapped(field, value);
  }
  return json;
}

type Values = { readonly scalar?: ScalarType | undefined; readonly message?: DescMessage | undefined };

function listed(values: Values, list: JsonValue[]): JsonValue[] {
  if (values.message !== undefined) {
    const { message } = values;
    return list.map((one) => withNumbers(message, one));
  }
  return values.scalar !== undefined && bigTypes.has(values.scalar) ? list.map(Number) : list;
}

function mapped(values: Values, map: JsonValue): JsonValue {
  if (typeof map !== "object" || map === null || Array.isArray(map)) return map;
  const [keys, list] = [Object.keys(map), listed(values, Object.values(map))];
  return Object.fromEntries(keys.map((key, place) => [key, list[place] ?? null]));
}

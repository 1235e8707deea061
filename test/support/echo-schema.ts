/** The descriptors of test/support/echo.proto for clients of Connect. */
import { join } from "node:path";
import { create, createFileRegistry, type DescService, fromBinary, toBinary } from "@bufbuild/protobuf";
import { protoCamelCase } from "@bufbuild/protobuf/reflect";
import {
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  type FileDescriptorSet,
  FileDescriptorSetSchema,
  MethodOptions_IdempotencyLevel,
  MethodOptionsSchema,
} from "@bufbuild/protobuf/wkt";
import { loadSync, type MessageTypeDefinition } from "@grpc/proto-loader";

/** Returns the set; `Unary` is marked as a method without side effects. */
export function echoDescriptors(): FileDescriptorSet {
  const definition = loadSync(join(import.meta.dirname, "echo.proto"), { keepCase: true });
  const request = definition["test.EchoRequest"] as MessageTypeDefinition<object, object>;
  const file = request.fileDescriptorProtos.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
  nameForJson(file);
  const idempotencyLevel = MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS;
  for (const method of file.flatMap(({ service }) => service.flatMap(({ method }) => method)))
    if (method.name === "Unary") method.options = create(MethodOptionsSchema, { idempotencyLevel });
  return create(FileDescriptorSetSchema, { file });
}

/** Sets the JSON names of fields, which compilers set and proto-loader leaves empty. */
function nameForJson(files: readonly FileDescriptorProto[]): void {
  for (const { field } of files.flatMap(({ messageType }) => messageType))
    for (const one of field) one.jsonName = protoCamelCase(one.name);
}

/** Returns proto-loader's FileDescriptorSet as a compiler would have written it. */
export function asCompiled(bytes: Uint8Array): Uint8Array {
  const set = fromBinary(FileDescriptorSetSchema, bytes);
  nameForJson(set.file);
  return toBinary(FileDescriptorSetSchema, set);
}

export const echoDescriptorBytes = (): Uint8Array => toBinary(FileDescriptorSetSchema, echoDescriptors());

/** Returns the service's descriptor, as clients of Connect need it. */
export function echoService(): DescService {
  const service = createFileRegistry(echoDescriptors()).getService("test.Echo");
  if (service === undefined) throw new Error("echo.proto has no Echo");
  return service;
}

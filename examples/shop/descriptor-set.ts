import type { MessageTypeDefinition, PackageDefinition } from "@grpc/proto-loader";

/**
 * Returns the files behind a loaded protocol as a FileDescriptorSet. `message`: the full name of any of its messages.
 */
export function descriptorSetOf(definition: PackageDefinition, message: string): Buffer {
  const { fileDescriptorProtos } = definition[message] as MessageTypeDefinition<object, object>;
  const fields = fileDescriptorProtos.flatMap((file) => [Buffer.from([0x0a, ...lengthOf(file.length)]), file]);
  return Buffer.concat(fields);
}

/** Returns a length as a protobuf varint. */
function lengthOf(length: number): readonly number[] {
  return length < 128 ? [length] : [(length & 127) | 128, ...lengthOf(length >>> 7)];
}

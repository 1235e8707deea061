import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  DescriptorProtoSchema,
  FieldDescriptorProto_Type,
  FieldDescriptorProtoSchema,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  MethodDescriptorProtoSchema,
  ServiceDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";
import { expect, test } from "@jest/globals";
import { Descriptors } from "../../../data-plane/edge/web/descriptors.js";

const type = FieldDescriptorProto_Type.STRING;
const field = create(FieldDescriptorProtoSchema, { name: "served_by", jsonName: "", number: 1, type });
const method = create(MethodDescriptorProtoSchema, { name: "B", inputType: ".a.M", outputType: ".a.M" });
const file = create(FileDescriptorProtoSchema, {
  ...{ name: "a.proto", package: "a", syntax: "proto3" },
  messageType: [create(DescriptorProtoSchema, { name: "M", field: [field] })],
  service: [create(ServiceDescriptorProtoSchema, { name: "S", method: [method] })],
});
const descriptors = new Descriptors([
  toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file: [file] })),
]);
const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString();

test("messages are JSON by their descriptors, with names that a compiler left out", () => {
  const codec = descriptors.find("a.S/B");
  const binary = codec?.requestToBinary(Buffer.from('{"servedBy":"v1","unknown":1}'));
  expect(Buffer.from(binary ?? [])).toEqual(Buffer.from([10, 2, 0x76, 0x31]));
  expect(text(codec?.responseToJson(Buffer.from([10, 2, 0x76, 0x31])))).toBe('{"servedBy":"v1"}');
  expect(codec?.requestToBinary(Buffer.alloc(0)).length).toBe(0);
  for (const bad of ["{", '{"servedBy":1}', "[]", `${"[".repeat(100_000)}`])
    expect(() => codec?.requestToBinary(Buffer.from(bad))).toThrow();
});

test("a method that no descriptor has is not translated, and a file that is none is refused by name", async () => {
  expect([descriptors.find("a.S/C"), descriptors.find("b.S/B"), descriptors.find("a.S")]).toEqual(
    Array(3).fill(undefined),
  );
  const missing = join(import.meta.dirname, "none.binpb");
  await expect(Descriptors.open([missing])).rejects.toThrow(missing);
  await expect(Descriptors.open([import.meta.filename])).rejects.toThrow("buf build");
});

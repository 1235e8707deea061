/** Methods from what defines them: .proto and descriptor sets beside policy files. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { readPolicyFiles } from "../../cli/policy-files.js";
import { parsePolicyFiles } from "../../core/snapshot/parse-files.js";

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "ash-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const write = (name: string, content: string | Uint8Array): string => {
  writeFileSync(join(dir, name), content);
  return join(dir, name);
};
const read = (...paths: string[]) => readPolicyFiles(paths, async () => "");

const service = 'kind: Service\nname: payments\nmethods: ["shop.Payments/*", shop.Extra/One]\n';
const proto = `syntax = "proto3";
package shop;
import "common/money.proto";
import "google/protobuf/empty.proto";
service Payments {
  rpc Refund(common.Money) returns (google.protobuf.Empty);
  rpc Charge(stream common.Money) returns (common.Money);
}
`;

/** The file as a compiler writes it. */
const descriptorSet = toBinary(
  FileDescriptorSetSchema,
  create(FileDescriptorSetSchema, {
    file: [
      {
        name: "pay.proto",
        package: "shop",
        syntax: "proto3",
        messageType: [{ name: "Money" }],
        service: [
          {
            name: "Payments",
            method: ["Refund", "Charge"].map((name) => ({ name, inputType: ".shop.Money", outputType: ".shop.Money" })),
          },
        ],
      },
    ],
  }),
);

test("a .proto with imports, and a descriptor set, state the methods of a service", async () => {
  mkdirSync(join(dir, "common"));
  write("common/money.proto", 'syntax = "proto3";\npackage common;\nmessage Money { int64 cents = 1; }\n');
  const yaml = write("payments.yaml", service);
  for (const descriptor of [write("pay.proto", proto), write("pay.binpb", descriptorSet)]) {
    const { objects, findings } = parsePolicyFiles(await read(yaml, descriptor));
    expect(findings).toEqual([]);
    const methods = ["shop.Payments/Refund", "shop.Payments/Charge", "shop.Extra/One"];
    expect(objects.map(({ object }) => object)).toEqual([{ kind: "Service", name: "payments", methods }]);
  }
});

test("a folder's descriptors are read with its policy", async () => {
  write("payments.yaml", service);
  write("pay.binpb", descriptorSet);
  const { objects, findings } = parsePolicyFiles(await read(dir));
  expect(findings).toEqual([]);
  expect(objects).toHaveLength(1);
});

test("a pattern without its descriptor is refused at its place, with the nearest name or the remedy", async () => {
  const yaml = write("payments.yaml", service);
  const alone = parsePolicyFiles(await read(yaml)).findings;
  expect(alone).toMatchObject([{ severity: "error", line: 3, column: 11, field: "methods" }]);
  expect(alone[0]?.message).toBe(
    "there is no descriptor of shop.Payments; apply its .proto or descriptor set (.binpb) too, or name the methods",
  );
  const other = write("other.yaml", "kind: Descriptor\nname: shop.Payment\nmethods: [Charge]\n");
  const near = parsePolicyFiles(await read(yaml, other)).findings;
  expect(near[0]?.message).toBe('there is no descriptor of shop.Payments; did you mean "shop.Payment"?');
});

test.each([
  ["an import that is not there", "pay.proto", proto, /cannot read .*pay\.proto as a descriptor: .*money\.proto/],
  ["what is no proto", "bad.proto", "service {", /cannot read .*bad\.proto as a descriptor/],
  ["bytes that are no descriptor set", "bad.binpb", "no descriptors", /cannot read .*bad\.binpb as a descriptor/],
  ["a file without services", "m.proto", 'syntax = "proto3";\nmessage M {}\n', /m\.proto defines no service/],
])("%s is refused with the file's name", async (_, name, content, expected) => {
  await expect(read(write(name, content))).rejects.toThrow(expected);
});

test("a Descriptor with a slash in a method, or a field that is not known, is refused", () => {
  const content = "kind: Descriptor\nname: shop.Payments\nmethods: [shop.Payments/Charge]\nstreams: []\n";
  const { findings } = parsePolicyFiles([{ name: "d.yaml", content }]);
  expect(findings.map(({ line, column }) => [line, column])).toEqual([
    [3, 11],
    [4, 1],
  ]);
  expect(findings[0]?.message).toContain('leave out "shop.Payments/"');
});

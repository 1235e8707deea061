/** Private fields by the names of a .proto or a descriptor set beside the policy. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema, FieldDescriptorProto_Type as Type } from "@bufbuild/protobuf/wkt";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { readPolicyFiles } from "../../cli/policy-files.js";
import { buildSnapshot } from "../../core/snapshot/build.js";
import { checkPolicy } from "../../core/snapshot/check.js";
import { parsePolicyFiles } from "../../core/snapshot/parse-files.js";
import { testHolder } from "../support/holder.js";

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "ash-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const write = (name: string, content: string | Uint8Array): string => {
  writeFileSync(join(dir, name), content);
  return join(dir, name);
};

const policyOf = (...fields: readonly string[]): string => `kind: Service
name: bank
---
kind: Journal
name: writes
service: bank
mode: before
response: bytes
private:
  subject: request.headers["x"]
  holder: ${testHolder.publicKey}
  fields:
${fields.map((field) => `    - ${JSON.stringify(field)}\n`).join("")}`;

const proto = `syntax = "proto3";
package bank.v1;
import "common/person.proto";
import "google/protobuf/timestamp.proto";
service Ledger {
  rpc Open(OpenRequest) returns (OpenResponse);
  rpc Watch(stream OpenRequest) returns (stream OpenResponse);
}
message OpenRequest {
  string owner_name = 2;
  common.Person customer = 4;
  repeated Card cards = 5;
  map<string, common.Person> heirs = 6;
  map<string, string> labels = 7;
  oneof payment { string iban = 8; Card card = 9; }
  optional string note = 10;
  google.protobuf.Timestamp born = 11;
  Kind kind = 12;
  message Card { string number = 1; Card spare = 3; }
  enum Kind { NONE = 0; }
}
message OpenResponse { string account = 1; OpenRequest.Card card = 2; }
`;
const person = 'syntax = "proto3";\npackage common;\nmessage Person { string name = 1; string email = 3; }\n';

const descriptorSet = toBinary(
  FileDescriptorSetSchema,
  create(FileDescriptorSetSchema, {
    file: [
      {
        package: "old",
        messageType: [
          {
            name: "Put",
            field: [
              { name: "inner", number: 1, type: Type.MESSAGE, typeName: ".elsewhere.Inner" },
              { name: "part", number: 2, type: Type.GROUP, typeName: ".old.Put.Part" },
            ],
            nestedType: [{ name: "Part", field: [{ name: "x", number: 1, type: Type.STRING }] }],
          },
        ],
        service: [{ name: "Store", method: [{ name: "Put", inputType: ".old.Put", outputType: ".old.Put" }] }],
      },
    ],
  }),
);

function setUp(): readonly string[] {
  mkdirSync(join(dir, "common"));
  write("common/person.proto", person);
  return [write("bank.proto", proto), write("old.binpb", descriptorSet)];
}

async function read(fields: readonly string[], files: readonly string[]) {
  const paths = [write("policy.yaml", policyOf(...fields)), ...files];
  return parsePolicyFiles(await readPolicyFiles(paths, async () => ""));
}

const open = "bank.v1.Ledger/Open";

describe("names become the numbers that are stored", () => {
  test.each([
    ["a field", "request.owner_name", "request.2"],
    ["a field of a message of an import", "request.customer.email", "request.4.3"],
    ["a field of all items", "request.cards.number", "request.5.1"],
    ["a message in itself", "request.cards.spare.spare.number", "request.5.3.3.1"],
    ["the values of a map", "request.heirs.value.name", "request.6.2.1"],
    ["the keys of a map", "request.labels.key", "request.7.1"],
    ["a field of a oneof", "request.card.number", "request.9.1"],
    ["an optional field", "request.note", "request.10"],
    ["what comes with every compiler", "request.born.seconds", "request.11.1"],
    ["names and numbers mixed", "request.4.email", "request.4.3"],
    ["numbers and names mixed", "request.customer.3", "request.4.3"],
    ["numbers alone", "request.4.3", "request.4.3"],
    ["a response", "response.card.number", "response.2.1"],
  ])("%s", async (_, written, stored) => {
    const { objects, findings } = await read([`${open} ${written}`], setUp());
    expect(findings).toEqual([]);
    const plain = await read([`${open} ${stored}`], []);
    expect(plain.findings).toEqual([]);
    const build = (all: typeof objects) => buildSnapshot(all.map(({ object }) => object)).list.digest;
    expect(build(objects)).toBe(build(plain.objects));
  });

  test("also by a Descriptor that is written by hand", () => {
    const content = `${policyOf("a.B/C request.x.y")}---
kind: Descriptor
name: a.B
methods: [C]
types: [C a.Request a.Answer]
messages: ["a.Request x=7:a.X", "a.X y=9"]
`;
    const { objects, findings } = parsePolicyFiles([{ name: "p.yaml", content }]);
    expect(findings).toEqual([]);
    expect(objects.at(-1)?.object).toMatchObject({ private: { fields: ["a.B/C request.7.9"] } });
  });
});

describe("what is not there is refused at its place", () => {
  const of = "bank.v1.OpenRequest";
  test.each([
    ["an unknown field", "request.owner_nam", `${of} has no field owner_nam; did you mean "owner_name"?`],
    ["a field within", "request.customer.mail", 'common.Person has no field mail; did you mean "email"?'],
    [
      "a field of the response",
      "request.account",
      `${of} has no field account; bank.v1.OpenResponse has one: response.account`,
    ],
    ["a text", "request.owner_name.first", "owner_name is no message, so it has no field first"],
    ["a number of a text", "request.2.first", "2 is no message, so it has no field first"],
    ["an enum", "request.kind.x", "kind is no message, so it has no field x"],
    [
      "an entry of a map",
      "request.labels.town",
      "labels is a map: write labels.value or labels.key, of all its entries",
    ],
    ["a oneof", "request.payment", `payment of ${of} is a oneof: write its fields, iban and card`],
    ["what a parser puts around an optional field", "request._note", `${of} has no field _note; did you mean "note"?`],
    ["below an unknown number", "request.99.name", "no descriptor says what is in 99, so name has no number"],
  ])("%s", async (_, written, message) => {
    const { findings } = await read([`${open} ${written}`], setUp());
    const errors = findings.filter(({ severity }) => severity === "error");
    expect(errors).toMatchObject([{ line: 13, column: 7, field: "private.fields[0]", message }]);
  });

  test.each([
    [
      "a message without its import",
      "old.Store/Put request.inner.x",
      /^the descriptors lack elsewhere\.Inner: .*--include_imports/,
    ],
    ["a group", "old.Store/Put request.part", /^part is a group, which cannot be cut out alone/],
    [
      "a method without descriptors",
      "bank.v1.Ledger/Close request.x",
      /^no descriptor says what the messages of bank\.v1\.Ledger\/Close are/,
    ],
  ])("%s", async (_, written, message) => {
    const { findings } = await read([written], setUp());
    expect(findings).toMatchObject([{ severity: "error", line: 13, message: expect.stringMatching(message) }]);
  });

  test("no descriptors at all, with both remedies", async () => {
    const { findings } = await read([`${open} request.owner_name`], []);
    expect(findings[0]?.message).toBe(
      `no descriptor says what the messages of ${open} are; apply its .proto or descriptor set (.binpb) too, or write the numbers of the fields`,
    );
  });

  test("the same field by name and by number", async () => {
    const { findings } = await read([`${open} request.2`, `${open} request.owner_name`], setUp());
    const message = `it is ${open} request.2, which is in the list already`;
    expect(findings).toMatchObject([{ severity: "error", line: 14, message }]);
  });

  test("brackets of a list, with the remedy", async () => {
    const { findings } = await read([`${open} request.cards[].number`], setUp());
    expect(findings[0]?.message).toMatch(/leave out \[\]: all items of a repeated field are meant$/);
  });

  test("descriptors that contradict each other", async () => {
    const files = setUp();
    mkdirSync(join(dir, "v2"));
    const other = write(
      "v2/bank.proto",
      proto.replace("owner_name = 2", "owner_name = 3").replace("common/", "../common/"),
    );
    const { findings } = await read([`${open} request.owner_name`], [...files, other]);
    expect(findings[0]?.message).toBe(`descriptors say different things of ${of}: apply one of them`);
  });
});

test("a number that the message does not have is a warning, and is stored", async () => {
  const { objects, findings } = await read([`${open} request.99`], setUp());
  expect(findings).toMatchObject([{ severity: "warning", line: 13, field: "private.fields[0]" }]);
  expect(findings[0]?.message).toMatch(/^bank\.v1\.OpenRequest has no field 99 in its descriptor/);
  expect(objects.at(-1)?.object).toMatchObject({ private: { fields: [`${open} request.99`] } });
});

test("messages are sent along for methods with private fields alone", async () => {
  const files = setUp();
  const content = async (...fields: readonly string[]) => {
    const all = await readPolicyFiles([write("policy.yaml", policyOf(...fields)), ...files], async () => "");
    return all.map((file) => file.content).join("");
  };
  expect(await content("other.X/Y request.1")).not.toMatch(/^(types|messages):/m);
  expect((await content(`${open} request.1`)).match(/^ {2}- (Open|Watch) .*/gm)).toEqual([
    "  - Open bank.v1.OpenRequest bank.v1.OpenResponse",
  ]);
});

test("where a .proto does not tell which of two types a field has, the remedy is a descriptor set", async () => {
  const hidden = `syntax = "proto3";
package a;
service S { rpc Put(b.M) returns (T); }
message T { string outer = 1; }
`;
  const inner =
    'syntax = "proto3";\npackage a.b;\nimport "t.proto";\nmessage M { message T { string x = 9; } a.T t = 1; }\n';
  write("t.proto", 'syntax = "proto3";\npackage a;\nmessage T { string outer = 1; }\n');
  write("m.proto", inner);
  const main = hidden
    .replace(/message T .*\n/, "")
    .replace("package a;", 'package a;\nimport "m.proto";\nimport "t.proto";');
  const { findings } = await read(["a.S/Put request.t.outer"], [write("s.proto", main)]);
  expect(findings[0]?.message).toMatch(/^the descriptors lack a\.b\.M: make the set with all imports/);
});

describe("fields by message type", () => {
  const byType = (...entries: readonly (readonly [string, string])[]): string => {
    const list = entries.map(([field, subject]) => `  - { field: ${field}, subject: ${subject} }\n`);
    return `${policyOf("x").split("private:")[0]}private:\n${list.join("")}`;
  };
  const parse = async (content: string, files: readonly string[]) =>
    parsePolicyFiles(await readPolicyFiles([write("policy.yaml", content), ...files], async () => ""));
  const request = "bank.v1.OpenRequest";

  test("are those of every method with the message, in numbers, by a .proto", async () => {
    const { objects, findings } = await parse(
      byType(
        [`${request}.customer.email`, `${request}.owner_name`],
        ["bank.v1.OpenResponse.account", `${request}.owner_name`],
      ),
      setUp(),
    );
    expect(findings).toEqual([]);
    const stored = {
      undescribed: ["*"], // the Service states no methods
      subjects: ["bank.v1.Ledger/Open request.2", "bank.v1.Ledger/Watch request.2"],
      fields: [
        "bank.v1.Ledger/Open request.4.3",
        "bank.v1.Ledger/Open response.1",
        "bank.v1.Ledger/Watch request.4.3",
        "bank.v1.Ledger/Watch response.1",
      ],
    };
    expect(objects.at(-1)?.object).toMatchObject({ private: stored });
    const written = JSON.stringify(stored);
    const plain = await parse(`${policyOf("x").split("private:")[0]}private: ${written}\n`, []);
    expect(plain.findings).toEqual([]);
    const build = (all: typeof objects) => buildSnapshot(all.map(({ object }) => object)).list.digest;
    expect(build(objects)).toBe(build(plain.objects));
  });

  test.each([
    ["an enum is an int32", `${request}.kind`, "bank.v1.Ledger/Open request.12 int32"],
    ["an optional field", `${request}.note`, "bank.v1.Ledger/Open request.10"],
  ])("%s", async (_what, subject, expected) => {
    const { objects, findings } = await parse(byType([`${request}.cards.number`, subject]), setUp());
    expect(findings).toEqual([]);
    expect(objects.at(-1)?.object).toMatchObject({ private: { subjects: expect.arrayContaining([expected]) } });
  });

  test.each([
    ["a repeated one", `${request}.cards`, /cards of .* is not a single string/],
    ["one in a oneof", `${request}.iban`, /iban of .* is in the oneof payment/],
  ])("no subject is %s", async (_what, subject, why) => {
    const { findings } = await parse(byType([`${request}.owner_name`, subject]), setUp());
    expect(findings).toMatchObject([{ severity: "error", line: 10, message: expect.stringMatching(why) }]);
  });

  test("a write whose messages descriptors disagree about is refused, since its fields would be stored in clear", () => {
    const descriptor = (type: string) => `kind: Descriptor
name: a.B
methods: [C, D]
types: [C ${type} a.A, D a.R a.A]
messages: ["a.R owner=1/string note=2/string", "a.Q owner=1/string", "a.A x=1/string"]
`;
    const { findings } = parsePolicyFiles([
      { name: "p.yaml", content: byType(["a.R.note", "a.R.owner"]) },
      { name: "one.yaml", content: descriptor("a.R") },
      { name: "two.yaml", content: descriptor("a.Q") },
    ]);
    const message = "descriptors say different things of the messages of a.B/C: apply one of them";
    expect(findings).toMatchObject([{ severity: "error", line: 10, message }]);
  });

  test.each([
    [
      "a method that the Service states by name",
      "[bank.v1.Ledger/*, bank.v1.Extra/Close]",
      "",
      ["bank.v1.Extra/Close"],
    ],
    ["a write of the Journal", "", "[bank.v1.Ledger/Open, bank.v1.Extra/*]", ["bank.v1.Extra/*"]],
    ["any, where nobody names all", "", "", ["*"]],
    ["none, where all are described", "[bank.v1.Ledger/*]", "", undefined],
    [
      "none that the Journal does not store",
      "[bank.v1.Ledger/*, bank.v1.Extra/Close]",
      "[bank.v1.Ledger/*]",
      undefined,
    ],
  ])("a write that no descriptor describes is stored and told: %s", async (_what, stated, writes, expected) => {
    const withMethods = (after: string, methods: string) => (methods === "" ? after : `${after}methods: ${methods}\n`);
    const content = byType([`${request}.note`, `${request}.owner_name`])
      .replace("name: bank\n", withMethods("name: bank\n", stated))
      .replace("service: bank\n", withMethods("service: bank\n", writes));
    const { objects, findings } = await parse(content, setUp());
    expect(findings).toEqual([]);
    const journal = objects.at(-1)?.object as { private?: { undescribed?: readonly string[] } };
    expect(journal.private?.undescribed).toEqual(expected);
    const told = checkPolicy(objects, { mesh: "test" }).filter(({ message }) => message.includes("stored in clear"));
    const line = 1 + content.split("\n").indexOf("private:");
    expect(told).toMatchObject(expected === undefined ? [] : [{ severity: "warning", field: "private", line }]);
  });

  test("a message with a typing error is refused with the nearest, and one without descriptors with the remedy", async () => {
    const wrong = byType(["bank.v1.OpenReqest.owner_name", `${request}.note`]);
    const { findings } = await parse(wrong, setUp());
    expect(findings[0]).toMatchObject({
      line: 10,
      message: 'no descriptor has a message bank.v1.OpenReqest; did you mean "bank.v1.OpenRequest"?',
    });
    expect((await parse(wrong, [])).findings[0]).toMatchObject({
      line: 10,
      message: expect.stringMatching(/apply its \.proto or descriptor set \(\.binpb\) too$/),
    });
  });
});

/** What the suite's runner asks is understood in whatever pieces it comes, and the answer is as the runner reads it. */
import { create, createFileRegistry, fromBinary, fromJson, toBinary, toJson } from "@bufbuild/protobuf";
import { FieldDescriptorProto_Type, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { expect, test } from "@jest/globals";
import { ServerMessages } from "./answers.js";

const { BOOL, BYTES, STRING, UINT32 } = FieldDescriptorProto_Type;
const set = create(FileDescriptorSetSchema, {
  file: [
    {
      ...{ name: "suite.proto", package: "connectrpc.conformance.v1", syntax: "proto3" },
      messageType: [
        {
          name: "ServerCompatRequest",
          field: [{ name: "use_tls", jsonName: "useTls", number: 4, type: BOOL, label: 1 }],
        },
        {
          name: "ServerCompatResponse",
          field: [
            { name: "host", jsonName: "host", number: 1, type: STRING, label: 1 },
            { name: "port", jsonName: "port", number: 2, type: UINT32, label: 1 },
            { name: "pem_cert", jsonName: "pemCert", number: 3, type: BYTES, label: 1 },
          ],
        },
      ],
    },
  ],
});
const messages = new ServerMessages(toBinary(FileDescriptorSetSchema, set));

test("a request is understood when all of it has come, and not before", () => {
  const request = Buffer.from([0, 0, 0, 2, 4 << 3, 1]);
  for (let end = 0; end < request.length; end++)
    expect(messages.parseRequest(request.subarray(0, end))).toBeUndefined();
  expect(messages.parseRequest(request)).toEqual({ useTls: true });
  expect(messages.parseRequest(Buffer.alloc(4))).toEqual({ useTls: false });
});

test("an answer is preceded by its length and has host, port and certificate", () => {
  const answer = messages.encodeAnswer({ host: "localhost", port: 4433, pemCert: "a certificate" });
  expect(Buffer.from(answer).readUInt32BE()).toBe(answer.length - 4);
  const schema = createFileRegistry(set).getMessage("connectrpc.conformance.v1.ServerCompatResponse");
  if (schema === undefined) throw new Error("no schema");
  expect(toJson(schema, fromBinary(schema, answer.subarray(4)))).toEqual(
    toJson(schema, fromJson(schema, { host: "localhost", port: 4433, pemCert: btoa("a certificate") })),
  );
});

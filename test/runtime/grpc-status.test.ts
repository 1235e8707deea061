import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import protobuf from "protobufjs";
import { AshlarError, errorCodes } from "../../core/errors.js";
import { fromServiceError, invalidFields, statusOf, toGrpcStatus, violationsOf } from "../../runtime/grpc-status.js";

// googleapis google/rpc, as published
const root = protobuf.parse(
  `
  syntax = "proto3"; package google.rpc;
  message Any { string type_url = 1; bytes value = 2; }
  message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
  message ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; }
  message BadRequest { message FieldViolation { string field = 1; string description = 2; } repeated FieldViolation field_violations = 1; }
`,
  { keepCase: true },
).root;

function decodeDetails(metadata: Metadata): { code: number; message: string; details: Record<string, unknown> } {
  const [bytes] = metadata.get("grpc-status-details-bin");
  const decoded = root.lookupType("google.rpc.Status").decode(bytes as Buffer) as unknown as {
    code: number;
    message: string;
    details: { type_url: string; value: Uint8Array }[];
  };
  const details: Record<string, unknown> = {};
  for (const { type_url, value } of decoded.details) {
    const name = type_url.replace("type.googleapis.com/", "");
    details[name] = root.lookupType(name).decode(value).toJSON();
  }
  return { code: decoded.code, message: decoded.message, details };
}

function asServiceError(thrown: unknown): ServiceError {
  const { code, details, metadata } = toGrpcStatus(thrown);
  return Object.assign(new Error(details), { code, details, metadata });
}

describe("errors as gRPC statuses", () => {
  test("every code keeps its code and message across the wire, except internal faults", () => {
    for (const code of errorCodes) {
      const back = fromServiceError(asServiceError(new AshlarError(code, "what was wrong")));
      expect(back.code).toBe(code);
      expect(back.message).toBe(code === "internal" ? "internal error" : "what was wrong");
      expect(asServiceError(new AshlarError(code, "x")).code).toBe(statusOf[code]);
    }
  });

  test("ErrorInfo carries the code in upper case and the domain, readable by any protobuf library", () => {
    const { metadata } = toGrpcStatus(new AshlarError("conflict", "somebody was first"));
    expect(decodeDetails(metadata)).toEqual({
      code: status.ABORTED,
      message: "somebody was first",
      details: { "google.rpc.ErrorInfo": { reason: "CONFLICT", domain: "ashlar.dev" } },
    });
  });

  test("bad input carries a BadRequest with its fields, which come back", () => {
    const violations = [
      { field: "files[0].name", description: "is empty" },
      { field: "parent", description: "no digest" },
    ];
    const error = invalidFields("invalid_policy", "2 errors", violations);
    expect(decodeDetails(toGrpcStatus(error).metadata).details["google.rpc.BadRequest"]).toEqual({
      field_violations: violations,
    });
    const back = fromServiceError(asServiceError(error));
    expect(back.code).toBe("invalid_policy");
    expect(violationsOf(back)).toEqual(violations);
  });

  test("unknown errors say internal error and nothing of themselves", () => {
    const { code, details, metadata } = toGrpcStatus(new TypeError("secret path /root/x"));
    expect(code).toBe(status.INTERNAL);
    expect(details).toBe("internal error");
    expect(JSON.stringify(decodeDetails(metadata))).not.toContain("secret");
  });

  test("trailers stay small whatever the number and length of violations", () => {
    const violations = Array.from({ length: 500 }, (_, i) => ({ field: `f${i}`, description: "x".repeat(100) }));
    const { metadata, details } = toGrpcStatus(invalidFields("invalid_argument", "y".repeat(100_000), violations));
    const [bytes] = metadata.get("grpc-status-details-bin");
    expect((bytes as Buffer).length).toBeLessThanOrEqual(4096);
    expect(details.length).toBeLessThanOrEqual(2048);
    expect(() => decodeDetails(metadata)).not.toThrow();
  });

  test("a status of a foreign server is judged by its code, and broken details hide nothing", () => {
    const metadata = new Metadata();
    metadata.set("grpc-status-details-bin", Buffer.from("ffffff", "hex"));
    const foreign = (code: status) => Object.assign(new Error("m"), { code, details: "m", metadata });
    expect(fromServiceError(foreign(status.NOT_FOUND)).code).toBe("not_found");
    expect(fromServiceError(foreign(status.DATA_LOSS)).code).toBe("internal");
  });

  test("details of any fields and texts survive, and random bytes never crash the reader", () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({ field: fc.string({ minLength: 1, maxLength: 20 }), description: fc.string({ maxLength: 20 }) }),
          { minLength: 1, maxLength: 10 },
        ),
        (list) => {
          expect(violationsOf(fromServiceError(asServiceError(invalidFields("invalid_argument", "m", list))))).toEqual(
            list,
          );
        },
      ),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const metadata = new Metadata();
        metadata.set("grpc-status-details-bin", Buffer.from(bytes));
        fromServiceError(Object.assign(new Error("m"), { code: 3, details: "m", metadata }));
      }),
    );
  });
});

test("why there is no connection is said in few words", () => {
  const details = "No connection established. Last error: Error: connect ECONNREFUSED 127.0.0.1:1. Resolution note: ";
  const error = Object.assign(new Error(details), { code: status.UNAVAILABLE, details, metadata: new Metadata() });
  expect(fromServiceError(error)).toMatchObject({
    code: "unavailable",
    message: "connect ECONNREFUSED 127.0.0.1:1",
  });
});

import { describe, expect, test } from "@jest/globals";
import { defaultLimits, type RequestRules } from "../../../data-plane/http2/limits.js";
import { errorCode } from "../../../data-plane/http2/protocol.js";
import { type RefusalReason, refusalReasons } from "../../../data-plane/http2/refusals.js";
import { FieldCheck } from "../../../data-plane/http2/validate-fields.js";
import { type Field, frame } from "../../support/wire.js";
import { blockOf, EnginePeer, goodRequest, listOf } from "./engine-peer.js";

const strict = defaultLimits.requestRules;

function refusedFor(fields: readonly Field[], rules: RequestRules = strict): RefusalReason | undefined {
  return refusalReasons[new FieldCheck().request(blockOf(fields), rules)];
}

/** The good request with another value, or without the field. */
function withField(name: string, value: string | undefined): Field[] {
  return goodRequest
    .filter(([each]) => each !== name || value !== undefined)
    .map(([each, old]) => [each, each === name ? (value ?? "") : old]);
}

describe("check 15, paths", () => {
  test.each([
    "shop.Payments/Charge",
    "//shop.Payments/Charge",
    "/shop.Payments//Charge",
    "/shop.Payments/./Charge",
    "/shop.Payments/../Charge",
    "/shop.Payments%2fCharge",
    "/shop.Payments%2FCharge",
    "/shop.Payments\\Charge",
    "/shop.Payments/Charge#a",
    "/shop.Payments/Charge?a=b",
    "/shop.Payments/Charge;a=b",
    "*",
    "/",
    "",
    "/shop.Payments/Charge.",
    "/shop.Payments/Charge/",
    "/shop.Payments./Charge",
    "/.shop/Charge",
    "/shop/Charge/More",
    "/1shop/Charge",
    "/shop/2Charge",
    "/shop",
    "/shop/",
    "/sh%6fp/Charge",
    "/shöp/Charge",
  ])("%j is refused", (path) =>
    expect(["path", "pseudo_field", "field_value"]).toContain(refusedFor(withField(":path", path))),
  );

  test("a path with NUL never gets that far", () => {
    expect(refusedFor(withField(":path", "/shop.Payments/Charge\0"))).toBe("field_value");
  });

  test.each(["/shop.Payments/Charge", "/a/b", "/_a.b_1.C/d_2", "/grpc.health.v1.Health/Check"])(
    "%j is fine",
    (path) => {
      expect(refusedFor(withField(":path", path))).toBe("none");
    },
  );
});

describe("checks 16 to 20, fields", () => {
  const cases: ReadonlyArray<readonly [string, RefusalReason, readonly Field[]]> = [
    ["CR in a value", "field_value", [...goodRequest, ["a", "b\rc"]]],
    ["LF in a value", "field_value", [...goodRequest, ["a", "b\nc"]]],
    ["NUL in a value", "field_value", [...goodRequest, ["a", "b\0c"]]],
    ["a space before :path", "field_value", withField(":path", " /shop.Payments/Charge")],
    ["a tab after :authority", "field_value", withField(":authority", "payments\t")],
    ["a space after :method", "field_value", withField(":method", "POST ")],
    ["an upper-case name", "field_name", [...goodRequest, ["X-A", "b"]]],
    ["an empty name", "field_name", [...goodRequest, ["", "b"]]],
    ["a space in a name", "field_name", [...goodRequest, ["a b", "c"]]],
    ["a colon in a name", "field_name", [...goodRequest, ["a:", "c"]]],
    ["a slash in a name", "field_name", [...goodRequest, ["a/b", "c"]]],
    ["a second :path", "pseudo_field", [[":path", "/a/b"], ...goodRequest]],
    ["a late pseudo-header", "pseudo_field", [...withField(":scheme", undefined), [":scheme", "http"]]],
    ["an unknown pseudo-header", "pseudo_field", [[":x", "1"], ...goodRequest]],
    ["a response's pseudo-header", "pseudo_field", [[":status", "200"], ...goodRequest]],
    ["no :path", "pseudo_field", withField(":path", undefined)],
    ["no :method", "pseudo_field", withField(":method", undefined)],
    ["no :scheme", "pseudo_field", withField(":scheme", undefined)],
    ["an extended CONNECT", "connect_method", [[":protocol", "websocket"], ...goodRequest]],
    ["GET", "method", withField(":method", "GET")],
    ["post", "method", withField(":method", "post")],
    ["connection", "connection_field", [...goodRequest, ["connection", "close"]]],
    ["keep-alive", "connection_field", [...goodRequest, ["keep-alive", "1"]]],
    ["proxy-connection", "connection_field", [...goodRequest, ["proxy-connection", "1"]]],
    ["transfer-encoding", "connection_field", [...goodRequest, ["transfer-encoding", "chunked"]]],
    ["upgrade", "connection_field", [...goodRequest, ["upgrade", "h2c"]]],
    ["http2-settings", "connection_field", [...goodRequest, ["http2-settings", "x"]]],
    ["te: gzip", "te", withField("te", "gzip")],
    ["te: trailers, gzip", "te", withField("te", "trailers, gzip")],
    ["a host that is another", "authority", [...goodRequest, ["host", "orders"]]],
    ["two hosts", "authority", [...goodRequest, ["host", "payments"], ["host", "payments"]]],
    ["a user in :authority", "authority", withField(":authority", "a@payments")],
    ["a space in :authority", "authority", withField(":authority", "pay ments")],
    ["two ports", "authority", withField(":authority", "payments:1:2")],
    ["an empty :authority", "authority", withField(":authority", "")],
    ["content-length +5", "content_length", [...goodRequest, ["content-length", "+5"]]],
    ["an empty content-length", "content_length", [...goodRequest, ["content-length", ""]]],
    ["two content-lengths", "content_length", [...goodRequest, ["content-length", "5"], ["content-length", "5"]]],
    [
      "a content-length beyond all numbers",
      "content_length",
      [...goodRequest, ["content-length", "99999999999999999999"]],
    ],
    ["text/plain", "content_type", withField("content-type", "text/plain")],
    ["grpc-web", "content_type", withField("content-type", "application/grpc-web")],
    ["no content-type", "content_type", withField("content-type", undefined)],
    ["grpc-timeout without unit", "grpc_timeout", [...goodRequest, ["grpc-timeout", "10"]]],
    ["grpc-timeout of nine digits", "grpc_timeout", [...goodRequest, ["grpc-timeout", "123456789S"]]],
    ["grpc-timeout of days", "grpc_timeout", [...goodRequest, ["grpc-timeout", "1d"]]],
  ];
  test.each(cases)("%s is refused, and the application sees nothing of it", (_name, reason, fields) => {
    expect(refusedFor(fields)).toBe(reason);
    const peer = new EnginePeer().hello();
    peer.send(peer.headers(1, fields, true));
    expect(peer.starts).toBe(0);
    expect(peer.counters.refused(reason)).toBe(1);
    const frames = peer.frames();
    if (reason === "content_type") {
      expect(frames.map((each) => peer.fieldsOf(each))).toEqual([[[":status", "415"]]]);
      expect(peer.connection.streams.count).toBe(0);
    } else if (reason === "connect_method") expect(peer.goawayCode(frames)).toBe(errorCode.protocolError);
    else expect(peer.resetCode(1, frames)).toBe(errorCode.protocolError);
  });

  test("fields with bytes of 0x80 and above are dropped and named, for rules that fail closed", () => {
    const check = new FieldCheck();
    const block = blockOf([...goodRequest, ["x-a", "caf\u00e9"], ["x-b", "plain"]]);
    expect(check.request(block, strict)).toBe(0);
    expect(check.obsTextNames).toEqual(["x-a"]);
    expect(listOf(block)).toEqual([...goodRequest, ["x-b", "plain"]]);
    expect(refusedFor(withField(":authority", "caf\u00e9"))).toBe("pseudo_field");
  });

  test("spaces and tabs around a value are no part of it; those within are", () => {
    const spaced: Field[] = [...goodRequest, ["a", " b\t"], ["c", "\t d  e "], ["f", " "], ["grpc-timeout", " 1S "]];
    const peer = new EnginePeer().hello();
    peer.send(peer.headers(1, spaced, true));
    const bare = [...goodRequest, ["a", "b"], ["c", "d  e"], ["f", ""], ["grpc-timeout", "1S"]];
    expect(peer.heard.get(1)?.request).toEqual(bare);
  });

  test.each([
    ["content-type", "Application/GRPC"],
    ["content-type", "application/grpc;charset=utf-8"],
    ["content-type", "application/grpc ; charset=utf-8"],
    ["content-type", "application/grpc+proto"],
    ["te", "Trailers"],
    [":authority", "Pay_Ments.Example:80"],
  ])("%s: %s is what libraries send, and fine", (name, value) => {
    expect(refusedFor(withField(name, value))).toBe("none");
  });

  test.each([
    ["user-agent", ""],
    ["user-agent", 'grpc-go/1.70 (linux; (odd) "agent") é~^'],
    ["x-empty", ""],
    ["grpc-timeout", "00000001S"],
    ["x-data-bin", "AAEC"],
    ["x-data-bin", "AAE="],
    ["x-data-bin", "AAEC,AAE="],
    ["under_score", "1"],
  ])("%s: %j is what libraries send, and fine", (name, value) => {
    expect(refusedFor([...goodRequest, [name, value]])).toBe("none");
  });

  test("an authority becomes lower case once; a host that is the same goes", () => {
    const block = blockOf([...withField(":authority", "PayMents:443"), ["host", "payments:443"]]);
    expect(new FieldCheck().request(block, strict)).toBe(0);
    expect(listOf(block)).toEqual(withField(":authority", "payments:443"));
  });

  test("without a rule about it the scheme is one of HTTP's two", () => {
    for (const scheme of ["http", "https"]) expect(refusedFor(withField(":scheme", scheme))).toBe("none");
    for (const scheme of ["ftp", "HTTPS", "httpss", ""])
      expect(refusedFor(withField(":scheme", scheme))).toBe("scheme");
  });

  test("rules that are set: scheme, underscore; rules that are off: method, path and type", () => {
    expect(refusedFor(goodRequest, { ...strict, scheme: "https" })).toBe("scheme");
    expect(refusedFor([...goodRequest, ["a_b", "c"]])).toBe("none");
    expect(refusedFor([...goodRequest, ["a_b", "c"]], { ...strict, refuseUnderscore: true })).toBe("field_name");
    const off = { ...strict, grpcOnly: false };
    expect(
      refusedFor(
        [
          [":method", "GET"],
          [":scheme", "http"],
          [":path", "/"],
        ],
        off,
      ),
    ).toBe("none");
    expect(
      refusedFor(
        [
          [":method", "GET"],
          [":scheme", "http"],
          [":path", ""],
        ],
        off,
      ),
    ).toBe("path");
    expect(
      refusedFor(
        [
          [":method", ""],
          [":scheme", "http"],
          [":path", "/"],
        ],
        off,
      ),
    ).toBe("method");
  });

  test.each<[string, Field[]]>([
    ["a pseudo-header", [[":path", "/a/b"]]],
    ["an upper-case name", [["A", "b"]]],
    ["a connection field", [["connection", "close"]]],
  ])("trailers with %s reset the stream", (_name, fields) => {
    const peer = new EnginePeer().hello();
    peer.send(peer.headers(1), peer.headers(1, fields, true));
    expect(peer.resetCode(1)).toBe(errorCode.protocolError);
  });

  test("trailers without END_STREAM reset the stream", () => {
    const peer = new EnginePeer().hello();
    peer.send(peer.headers(1), peer.headers(1, [["a", "b"]]));
    expect(peer.resetCode(1)).toBe(errorCode.protocolError);
    expect(peer.counters.refused("trailers")).toBe(1);
  });

  test("check 19: END_STREAM with a length, more than the length, less than the length", () => {
    for (const [length, body] of [
      ["5", ""],
      ["5", "123456"],
      ["5", "1234"],
    ] as const) {
      const peer = new EnginePeer().hello();
      peer.send(peer.headers(1, [...goodRequest, ["content-length", length]], body === ""));
      if (body !== "") peer.send(frame(0, 1, 1, Buffer.from(body)));
      expect(peer.resetCode(1)).toBe(errorCode.protocolError);
      expect(peer.counters.refused("content_length")).toBe(1);
      expect(peer.heard.get(1)?.ended ?? false).toBe(false);
    }
  });
});

/** Ways around other proxies' rules that were published, tried on this one: each is named by its CVE. */
import { join } from "node:path";
import { Metadata, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { buildPolicy, everyone, issueIdentity } from "../../support/proxy-fakes.js";
import { ProxyPair } from "../../support/proxy-pair.js";
import { RawClient } from "../../support/raw-http2.js";

const secret = "test.Bytes/Unary";
let callers: string[] = [];

describe("published bypasses", () => {
  let pair: ProxyPair;
  const raws: RawClient[] = [];
  const track = (raw: RawClient): RawClient => {
    raws.push(raw);
    return raw;
  };
  const asService = async (service: string): Promise<RawClient> =>
    track(await RawClient.mtls(pair.address, issueIdentity(pair.pki, service), pair.pki.rootPem));

  beforeEach(async () => {
    callers = [];
    pair = await ProxyPair.start({
      Unary: (call, callback) => {
        callers.push(String(call.metadata.get("ashlar-caller")[0]));
        callback(null, call.request);
      },
    });
  });
  afterEach(() => {
    for (const raw of raws.splice(0)) raw.close();
    pair.stop();
  });

  for (const [cve, path] of [
    ["CVE-2026-33186: no slash in front", "test.Bytes/Unary"],
    ["CVE-2021-31920: slashes repeated", "//test.Bytes/Unary"],
    ["CVE-2021-31920: slashes repeated inside", "/test.Bytes//Unary"],
    ["CVE-2021-29492: an encoded slash", "/test.Bytes%2FUnary"],
    ["CVE-2021-29492: an encoded backslash", "/test.Bytes%5cUnary"],
    ["CVE-2021-32779, CVE-2021-39156: a fragment", "/test.Bytes/Unary#x"],
    ["CVE-2026-73553: a parameter", "/test.Bytes/Unary;x=y"],
    ["CVE-2025-46821: a wildcard in the path", "/test.Bytes/*"],
    ["a query", "/test.Bytes/Unary?x"],
    ["a dot segment", "/./test.Bytes/Unary"],
    ["a dot at the end", "/test.Bytes/Unary."],
    ["a slash at the end", "/test.Bytes/Unary/"],
  ] as const) {
    test(`${cve} gets past no deny: reset on both sides, and the application sees nothing`, async () => {
      const deny = [{ from: [], methods: [secret] }];
      pair.callee.policy.switchTo(buildPolicy(2, [{ service: "bytes", allow: [everyone], deny }]));
      for (const raw of [track(RawClient.unix(join(pair.dir, "out.sock"))), await asService("shop")]) {
        const { rstCode } = await raw.send({ ":path": path });
        expect(rstCode).toBe(1); // PROTOCOL_ERROR
      }
      expect(callers).toEqual([]);
    });
  }

  test("CVE-2026-101914: methods are told apart by case, in an allow and in a deny", async () => {
    pair.callee.policy.switchTo(
      buildPolicy(2, [{ service: "bytes", allow: [{ from: ["*"], methods: ["test.bytes/unary"] }] }]),
    );
    const { error } = await pair.client().unary(Buffer.from("x"));
    expect(error?.code).toBe(status.PERMISSION_DENIED);
  });

  test("CVE-2021-39155: an authority in capitals names the same service", async () => {
    const deny = [{ from: ["shop"], methods: [] }];
    pair.callee.policy.switchTo(buildPolicy(2, [{ service: "bytes", allow: [everyone], deny }]));
    for (const authority of ["bytes", "BYTES", "Bytes.Test."]) {
      const { headers } = await track(RawClient.unix(join(pair.dir, "out.sock"))).send({ ":authority": authority });
      expect(headers["grpc-status"]).toBe("7");
    }
    expect(callers).toEqual([]);
  });

  test("CVE-2026-73552: a value that no text can be made of fails closed in a deny and in an allow", async () => {
    const raw = await asService("shop");
    const tries = { plain: "cafe", odd: "caf\u00e9" };
    const verdict = async (value: string): Promise<unknown> => {
      const { headers, trailers } = await raw.send({ "x-role": value });
      return headers["grpc-status"] ?? trailers["grpc-status"];
    };
    const guests = [{ from: [], methods: [], when: 'request.headers["x-role"].matches("^guest")' }];
    pair.callee.policy.switchTo(buildPolicy(2, [{ service: "bytes", allow: [everyone], deny: guests }]));
    expect([await verdict(tries.plain), await verdict(tries.odd)]).toEqual(["0", "7"]);
    const members = [{ ...everyone, when: '!request.headers["x-role"].matches("^guest")' }];
    pair.callee.policy.switchTo(buildPolicy(3, [{ service: "bytes", allow: members }]));
    expect([await verdict(tries.plain), await verdict(tries.odd)]).toEqual(["0", "7"]);
  });

  test("CVE-2026-40968: no identity is left behind by a call that was denied", async () => {
    pair.callee.policy.switchTo(
      buildPolicy(2, [{ service: "bytes", allow: [{ from: ["admin"], methods: ["*"] }], deny: [] }]),
    );
    const [admin, guest] = [await asService("admin"), await asService("guest")];
    const codes: unknown[] = [];
    for (let round = 0; round < 50; round++) {
      const answers = await Promise.all([guest.send({}), admin.send({}), guest.send({})]);
      codes.push(...answers.map(({ headers, trailers }) => headers["grpc-status"] ?? trailers["grpc-status"]));
    }
    expect(codes).toEqual(Array.from({ length: 50 }, () => ["7", "0", "7"]).flat());
    expect(new Set(callers)).toEqual(new Set(["spiffe://test/service/admin"]));
  });

  test("CVE-2026-128065: the revision that an answer names is the one that judged it", async () => {
    const client = pair.client();
    for (const [revision, allow, code] of [
      [2, [everyone], status.OK],
      [3, [], status.PERMISSION_DENIED],
      [4, [everyone], status.OK],
    ] as const) {
      pair.callee.policy.switchTo(buildPolicy(revision, [{ service: "bytes", allow }]));
      const { error, trailers } = await client.unary(Buffer.from("x"), new Metadata());
      expect([error?.code ?? status.OK, trailers.get("ashlar-revision")]).toEqual([code, [String(revision)]]);
    }
  });
});

/** Conditions on calls, through two proxies. */
import { join } from "node:path";
import { type ClientDuplexStream, Metadata, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import type { AuthorizationRule } from "../../../core/model.js";
import { FieldBlock } from "../../../data-plane/http2/field-block.js";
import { labelMap, plainAddress } from "../../../data-plane/proxy/call-inputs.js";
import { KeptFields } from "../../../data-plane/proxy/forward/kept-fields.js";
import { buildPolicy, everyone, issueIdentity } from "../../support/proxy-fakes.js";
import { eventually, ProxyPair } from "../../support/proxy-pair.js";
import { RawClient } from "../../support/raw-http2.js";

const hello = Buffer.from("hello");
const eu = 'request.headers["x-region"] == "eu"';

describe("conditions", () => {
  let pair: ProxyPair;
  let revision = 1;
  let asked = 0;

  const enforce = (allow: readonly AuthorizationRule[], deny: readonly AuthorizationRule[] = []): void => {
    revision += 1;
    pair.callee.policy.switchTo(buildPolicy(revision, [{ service: "bytes", allow, deny }]));
  };

  /** The status of a call with these headers; a list is sent as several. */
  const call = async (headers: Readonly<Record<string, readonly string[]>> = {}): Promise<number> => {
    const metadata = new Metadata();
    for (const [name, values] of Object.entries(headers)) for (const value of values) metadata.add(name, value);
    const { error } = await pair.client().unary(hello, metadata);
    return error?.code ?? status.OK;
  };

  beforeEach(async () => {
    revision = 1;
    asked = 0;
    pair = await ProxyPair.start({
      Unary: (unary, callback) => {
        asked += 1;
        callback(null, unary.request);
      },
      Bidi: (bidi) => {
        bidi.on("data", (chunk: Buffer) => bidi.write(chunk));
        bidi.on("end", () => bidi.end());
      },
    });
  });
  afterEach(() => pair.stop());

  test("on a header are judged call by call, never from what the pair got before", async () => {
    enforce([{ ...everyone, when: eu }]);
    const codes: number[] = [];
    for (const region of ["eu", "us", "eu", "us"]) codes.push(await call({ "x-region": [region] }));
    expect(codes).toEqual([0, 7, 0, 7]);
    expect(await call()).toBe(status.PERMISSION_DENIED);
    expect(asked).toBe(2);
  });

  test("see repeated headers as one value, as the application does", async () => {
    const guests = [{ from: [], methods: [], when: 'request.headers["x-role"].matches("(^|,) *guest *(,|$)")' }];
    enforce([everyone], guests);
    expect(await call({ "x-role": ["clerk"] })).toBe(status.OK);
    expect(await call({ "x-role": ["clerk", "guest"] })).toBe(status.PERMISSION_DENIED);
    expect(await call({ "x-role": ["guest", "clerk"] })).toBe(status.PERMISSION_DENIED);
    expect(await call()).toBe(status.PERMISSION_DENIED);
    expect(asked).toBe(1);
  });

  test("of a deny match where the header is not text: it is as good as missing (I4)", async () => {
    enforce([everyone], [{ from: [], methods: [], when: 'request.headers["x-role"] == "guest"' }]);
    const raw = await RawClient.mtls(pair.address, issueIdentity(pair.pki, "shop"), pair.pki.rootPem);
    const statusOf = async (role: string) => {
      const { headers, trailers } = await raw.send({ "x-role": role });
      return Number(trailers["grpc-status"] ?? headers["grpc-status"]);
    };
    expect(await statusOf("clerk")).toBe(status.OK);
    expect(await statusOf("gues\x80t")).toBe(status.PERMISSION_DENIED);
    expect(await statusOf("x".repeat(9000))).toBe(status.OK);
    expect(asked).toBe(2);
    raw.close();
  });

  test("read the caller's address and the time", async () => {
    enforce([{ ...everyone, when: 'source.address == "127.0.0.1" && now > timestamp("2020-01-01T00:00:00Z")' }]);
    expect(await call()).toBe(status.OK);
    enforce([{ ...everyone, when: 'source.address == "10.0.0.1"' }]);
    expect(await call()).toBe(status.PERMISSION_DENIED);
    enforce([{ ...everyone, when: 'now < timestamp("2020-01-01T00:00:00Z")' }]);
    expect(await call()).toBe(status.PERMISSION_DENIED);
  });

  test("read the labels that the caller's proxy says of itself, and no application can say", async () => {
    enforce([{ ...everyone, when: 'source.labels.zone == "a"' }]);
    expect(await call()).toBe(status.PERMISSION_DENIED);
    expect(await call({ "ashlar-labels": ["zone=a"] })).toBe(status.PERMISSION_DENIED);
    const path = join(pair.dir, "labelled.sock");
    const labels = [
      { key: "team", value: "x" },
      { key: "zone", value: "a" },
    ];
    await pair.caller.outbound(path, "bytes", labels);
    const raw = RawClient.unix(path);
    const { trailers } = await raw.send({ "ashlar-labels": "zone=b" });
    expect(trailers["grpc-status"]).toBe("0");
    raw.close();
    expect(asked).toBe(1);
  });

  test("judge open streams again by what they began with (I10)", async () => {
    const open = async (region: string): Promise<ClientDuplexStream<Buffer, Buffer>> => {
      const metadata = new Metadata();
      metadata.set("x-region", region);
      const stream = pair.client().bidi(metadata);
      stream.on("error", () => {});
      const first = new Promise((resolve) => stream.once("data", resolve));
      stream.write(hello);
      await first;
      return stream;
    };
    const european = await open("eu");
    const american = await open("us");
    await eventually("both are open", () => pair.inbound.open.size === 2);
    const ended = new Promise<number>((resolve) => american.on("status", ({ code }) => resolve(code)));
    enforce([{ ...everyone, when: eu }]);
    expect(await ended).toBe(status.PERMISSION_DENIED);
    expect(pair.inbound.open.size).toBe(1);
    const echoed = new Promise((resolve) => european.once("data", resolve));
    european.write(hello);
    expect(await echoed).toEqual(hello);
    european.end();
  });
});

describe("what a call says of itself", () => {
  test("joins repeated headers, keeps empty ones and knows missing ones", () => {
    const fields = [
      ["a", "1"],
      ["b", ""],
      ["a", "2"],
    ] as const;
    const block = new FieldBlock();
    for (const [name, value] of fields) block.add(name, value);
    const kept = KeptFields.of(block);
    expect(["a", "b", "c"].map((name) => kept.header(name))).toEqual(["1,2", "", undefined]);
    expect([...labelMap([{ key: "zone", value: "x" }])]).toEqual([["zone", "x"]]);
  });

  test("has addresses in one form", () => {
    const forms = ["10.0.0.1", "::ffff:10.0.0.1", "::FFFF:10.0.0.1", "fe80::1%eth0", "2001:db8::1", undefined];
    expect(forms.map(plainAddress)).toEqual(["10.0.0.1", "10.0.0.1", "10.0.0.1", "fe80::1", "2001:db8::1", undefined]);
  });
});

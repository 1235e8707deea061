/**
 * The situations that gRPC's authorization engine is tested with end to end (proposal A43), and its refreshes of a
 * policy file, said in our policy and asked of two real proxies; then the bypasses that other proxies published.
 */
import { Metadata, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { services } from "../support/echo-policy.js";
import { TestMesh } from "../support/mesh.js";

const { OK, PERMISSION_DENIED } = status;
const calls = "test.Echo/*";
const unusedMethod = "test.Echo/Bidi";

let mesh: TestMesh;
let client: EchoClient;

beforeAll(async () => {
  mesh = await TestMesh.start();
  const echo = await mesh.proxy({ name: "echo", service: "echo" });
  const front = await mesh.proxy({ name: "front", service: "front" });
  await mesh.app(echo, "echo");
  await mesh.apply(services);
  await mesh.healthy("echo", 1);
  client = new EchoClient(front.outbound, "echo");
}, 90_000);

afterAll(async () => {
  client?.close();
  await mesh?.stop();
}, 60_000);

/** One authorization of echo; `rules` is the part from "allow:" on, indented by nothing. */
const authorization = (rules: string) => `${services}---
kind: Authorization
name: published
service: echo
${rules}
`;

const oneOf = (name: string, ...values: readonly string[]) => {
  const either = values.map((value) => `request.headers["${name}"] == "${value}"`).join(" || ");
  return `("${name}" in request.headers) && (${either})`;
};

/** Calls unary and as a stream: both have to be answered alike. */
async function codeOf(...headers: readonly (readonly [string, string])[]): Promise<number> {
  const metadata = new Metadata();
  for (const [name, value] of headers) metadata.add(name, value);
  const { code, details, trailers } = await client.unary({ text: "hello" }, { metadata });
  const streamed = await new Promise<number>((resolve) => {
    const stream = client.raw.ClientStream(metadata, (error: { code: number } | null) => resolve(error?.code ?? OK));
    stream.on("error", () => {});
    stream.end({ text: "hello" });
  });
  expect(streamed).toBe(code);
  if (code === PERMISSION_DENIED) {
    expect(details).toMatch(/^denied \(decision \S+, revision \d+\)$/);
    expect(trailers.get("ashlar-decision")).toHaveLength(1);
  }
  return code;
}

describe("the end-to-end situations of A43", () => {
  const denyHeader = `deny:\n  - methods: ["${calls}"]\n    when: ${oneOf("key-abc", "val-abc", "val-def")}`;
  const allowAll = 'allow:\n  - from: ["*"]\n    methods: ["*"]';
  const allowUnused = `allow:\n  - from: ["*"]\n    methods: [${unusedMethod}]`;

  const cases: readonly (readonly [string, string, readonly (readonly [string, string])[], number])[] = [
    [
      "DeniesRPCMatchInDenyNoMatchInAllow",
      `${allowUnused}\n${denyHeader}`,
      [["key-abc", "val-abc"]],
      PERMISSION_DENIED,
    ],
    ["DeniesRPCMatchInDenyAndAllow", `${allowAll}\ndeny:\n  - methods: ["*"]`, [], PERMISSION_DENIED],
    ["AllowsRPCNoMatchInDenyMatchInAllow", `${allowAll}\n${denyHeader}`, [["key-xyz", "val-xyz"]], OK],
    [
      "DeniesRPCNoMatchInDenyAndAllow",
      `allow:\n  - from: [stranger]\ndeny:\n  - methods: [${unusedMethod}]`,
      [],
      PERMISSION_DENIED,
    ],
    [
      "AllowsRPCEmptyDenyMatchInAllow",
      'allow:\n  - from: ["*"]\n    methods: [test.Echo/Unary]\n  - from: ["*"]\n    methods: [test.Echo/ClientStream]',
      [],
      OK,
    ],
    ["DeniesRPCEmptyDenyNoMatchInAllow", allowUnused, [], PERMISSION_DENIED],
    [
      "DeniesRPCRequestWithPrincipalsFieldOnUnauthenticatedConnection: here, of another principal, as no other connection is let in",
      `allow:\n  - from: ["spiffe://elsewhere/service/foo"]\n    methods: ["${calls}"]`,
      [],
      PERMISSION_DENIED,
    ],
    [
      "DeniesRPCRequestNoMatchInAllowFailsPresenceMatch",
      `allow:\n  - from: ["*"]\n    methods: ["${calls}"]\n    when: request.headers["key-abc"] != ""`,
      [["key-abc", ""]],
      PERMISSION_DENIED,
    ],
  ];
  for (const [name, rules, headers, expected] of cases) {
    test(name, async () => {
      await mesh.apply(authorization(rules));
      expect(await codeOf(...headers)).toBe(expected);
    });
  }
});

describe("a policy that is replaced, as in A43's file watcher", () => {
  const allow = authorization("allow:\n  - from: [front]");
  const deny = authorization("allow:\n  - from: [front]\ndeny:\n  - from: [front]");

  test("ValidPolicyRefresh, InvalidPolicySkipReload, RecoversFromReloadFailure", async () => {
    await mesh.apply(deny);
    expect(await codeOf()).toBe(PERMISSION_DENIED);
    await mesh.apply(allow);
    expect(await codeOf()).toBe(OK);
    const bad = await mesh.cli("apply", "-f", mesh.policy("bad.yaml", allow.replace("from:", "form:")));
    expect(bad.code).toBe(1);
    expect(bad.stderr).toMatch(/bad\.yaml:\d+:\d+: .*form/);
    expect(await codeOf()).toBe(OK);
    await mesh.apply(deny);
    expect(await codeOf()).toBe(PERMISSION_DENIED);
  });
});

describe("published bypasses", () => {
  test("CVE-2020-25017, CVE-2026-26308: every value of a repeated header is in what a deny reads", async () => {
    await mesh.apply(
      authorization('allow:\n  - from: ["*"]\ndeny:\n  - when: request.headers["x-role"].contains("guest")'),
    );
    expect(await codeOf(["x-role", "member"])).toBe(OK);
    expect(await codeOf(["x-role", "member"], ["x-role", "guest"])).toBe(PERMISSION_DENIED);
    expect(await codeOf(["x-role", "guest"], ["x-role", "member"])).toBe(PERMISSION_DENIED);
  });

  test("an exact deny of one value is not slipped past by a second value", async () => {
    await mesh.apply(authorization('allow:\n  - from: ["*"]\n    when: request.headers["x-role"] == "member"'));
    expect(await codeOf(["x-role", "member"])).toBe(OK);
    expect(await codeOf(["x-role", "member"], ["x-role", "guest"])).toBe(PERMISSION_DENIED);
  });

  test("CVE-2026-39350: a dot stands for itself, and a pattern that fits no method of the service is refused", async () => {
    // As a regular expression without care, "tes..Echo" would fit "test.Echo".
    const loose = authorization('allow:\n  - from: ["*"]\n    methods: ["tes.Echo/*"]');
    const done = await mesh.cli("apply", "-f", mesh.policy("loose.yaml", loose));
    expect(done.code).toBe(1);
    expect(done.stderr).toContain('did you mean "test.Echo/*"?');
  });

  test("a deny that cannot be told denies: a missing header, a pattern on no text", async () => {
    await mesh.apply(authorization('allow:\n  - from: ["*"]\ndeny:\n  - when: request.headers["x-role"] == "guest"'));
    expect(await codeOf()).toBe(PERMISSION_DENIED);
    expect(await codeOf(["x-role", "member"])).toBe(OK);
  });

  test("CVE-2022-21679: a policy with a field that is not known is refused whole", async () => {
    await mesh.apply(authorization("allow:\n  - from: [front]"));
    const newer = authorization("allow:\n  - from: [front]\n    notFrom: [guest]");
    const done = await mesh.cli("apply", "-f", mesh.policy("newer.yaml", newer));
    expect(done.code).toBe(1);
    expect(done.stderr).toContain("notFrom");
    expect(await codeOf()).toBe(OK);
  });
});

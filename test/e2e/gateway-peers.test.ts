/** Clients of a gateway that are not ours: curl, and gRPC for Python. One that is not installed is not asked. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { dnsName, extendedUsage, uriName } from "../support/certificates.js";
import { authority, leafOf, pem } from "../support/outside-provider.js";
import { repository, run } from "../support/processes.js";
import { TestTokenIssuer } from "../support/token-issuer.js";
import { startWebMesh, type WebMesh, webListener, webPolicy } from "../support/web-mesh.js";

const python = "/usr/bin/python3";
const present = {
  curl: (await run("curl", ["--version"])).stdout.includes("HTTP2"),
  python: (await run(python, ["-c", "import grpc, grpc_tools"])).code === 0,
};
for (const [peer, isPresent] of Object.entries(present))
  if (!isPresent) console.warn(`${peer} is missing: what it gets at a gateway is not tested`);

const issuer = new TestTokenIssuer();
const ca = authority("servers");
const partners = authority("partners");
const page = "https://www.shop.example";

let web: WebMesh;
let token: string;
const path = (name: string): string => join(web.mesh.dir, name);

beforeAll(async () => {
  const listeners = [
    webListener("web", ", cors: { maxAge: 10m }").replace("{ anyone: true }", "{ token: [accounts] }"),
    webListener("partners").replace("{ anyone: true }", "{ certificate: true }"),
  ];
  web = await startWebMesh(webPolicy(listeners.join("\n")), (dir) => {
    const server = leafOf(ca, extendedUsage.server, dnsName("shop.example"));
    const till = leafOf(partners, extendedUsage.client, uriName("spiffe://partner/till"));
    const stranger = leafOf(ca, extendedUsage.client, uriName("spiffe://partner/till"));
    for (const [name, one] of Object.entries({ tls: server, till, stranger })) {
      writeFileSync(join(dir, `${name}.crt`), pem(one));
      writeFileSync(join(dir, `${name}.key`), one.keyPem);
    }
    writeFileSync(join(dir, "ca.pem"), pem(ca));
    writeFileSync(join(dir, "partners.pem"), pem(partners));
    const flags = ["web", "partners"].flatMap((name) => [
      ...["--listener", `${name}=127.0.0.1:0`, "--host", `${name}=shop.example`],
      ...["--cert", `${name}=${dir}/tls.crt,${dir}/tls.key`],
    ]);
    return [
      ...[...flags, "--origin", `web=${page}`, "--client-ca", `partners=${dir}/partners.pem`],
      ...["--descriptors", `${dir}/echo.binpb`],
    ];
  });
  writeFileSync(path("jwks.json"), issuer.jwks());
  await web.mesh.json(0, "issuer", "set", "accounts", "--issuer", issuer.issuer, "--jwks", path("jwks.json"));
  token = issuer.token({}, {}, issuer.keys[0], Math.floor(Date.now() / 1000));
}, 120_000);

afterAll(() => web?.stop(), 60_000);

interface Got {
  readonly status: string;
  /** The version of HTTP: "1.1" or "2". */
  readonly version: string;
  readonly body: Buffer;
  /** Header and trailer lines, names in lower case. */
  readonly lines: readonly string[];
}

/** Runs curl against a listener. `target`: path and query. */
async function curl(listener: string, target: string, ...flags: readonly string[]): Promise<Got> {
  const port = (web.addresses[listener] ?? "").split(":")[1];
  const { code, stdout, stderr } = await run("curl", [
    ...["-sS", "--max-time", "30", "--cacert", path("ca.pem"), "--resolve", `shop.example:${port}:127.0.0.1`],
    ...["-o", path("curl.body"), "-D", path("curl.head"), "-w", "%{http_code} %{http_version}"],
    ...[...flags, `https://shop.example:${port}${target}`],
  ]);
  expect({ code, stderr, flags }).toEqual({ code: 0, stderr: "", flags });
  const [status = "", version = ""] = stdout.split(" ");
  const lines = readFileSync(path("curl.head"), "latin1").trim().split(/\r?\n/);
  const named = lines.map((line) => line.replace(/^[^:]*:/, (name) => name.toLowerCase()));
  return { status, version, body: readFileSync(path("curl.body")), lines: named };
}

const bearer = (): string[] => ["-H", `authorization: Bearer ${token}`];
const json = ["-H", "content-type: application/json"];
const text = JSON.stringify({ text: "hi" });
const both = [
  ["--http2", "2"],
  ["--http1.1", "1.1"],
] as const;

test("curl calls in JSON by POST and GET, over HTTP/2 and HTTP/1.1, and is refused without a token", async () => {
  if (!present.curl) return;
  for (const [flag, version] of both) {
    const posted = await curl("web", "/test.Echo/Unary", flag, ...bearer(), ...json, "-d", text);
    expect([posted.status, posted.version]).toEqual(["200", version]);
    expect(JSON.parse(posted.body.toString())).toMatchObject({ text: "hi", caller: "spiffe://test/gateway/public" });
    const query = ["-G", "-d", "connect=v1", "-d", "encoding=json", "--data-urlencode", `message=${text}`];
    const got = await curl("web", "/test.Echo/Unary", flag, ...bearer(), ...query);
    expect([got.status, JSON.parse(got.body.toString()).text]).toEqual(["200", "hi"]);
    const refused = await curl("web", "/test.Echo/Unary", flag, ...json, "-d", text);
    expect([refused.status, JSON.parse(refused.body.toString()).code]).toEqual(["401", "unauthenticated"]);
    const missing = await curl("web", "/test.Echo/Forbidden", flag, ...bearer(), ...json, "-d", text);
    expect([missing.status, JSON.parse(missing.body.toString()).code]).toEqual(["404", "unimplemented"]);
  }
});

test("curl calls gRPC-Web in both forms, and gRPC over HTTP/2", async () => {
  if (!present.curl) return;
  const request = Buffer.from([0, 0, 0, 0, 4, 10, 2, 104, 105]); // EchoRequest { text: "hi" }
  writeFileSync(path("request"), request);
  writeFileSync(path("request.text"), request.toString("base64"));
  const post = (type: string, body: string) => [
    ...["-H", `content-type: ${type}`, "-H", "te: trailers", "--data-binary", `@${path(body)}`],
  ];
  for (const [flag, version] of both) {
    const binary = await curl("web", "/test.Echo/Unary", flag, ...bearer(), ...post("application/grpc-web", "request"));
    const form = post("application/grpc-web-text", "request.text");
    const inText = await curl("web", "/test.Echo/Unary", flag, ...bearer(), ...form);
    const bodies = [binary.body, ...base64Parts(inText.body.toString())];
    expect([binary.status, inText.status, binary.version]).toEqual(["200", "200", version]);
    for (const body of [binary.body, Buffer.concat(bodies.slice(1))]) {
      expect([...body.subarray(0, 9)]).toEqual([0, ...body.subarray(1, 5), 10, 2, 104, 105]);
      expect(body.toString("latin1")).toMatch(/\x80.{4}[\s\S]*grpc-status: ?0\r\n/s);
    }
    const refused = await curl("web", "/test.Echo/Unary", flag, ...post("application/grpc-web", "request"));
    expect([refused.status, [...refused.lines, refused.body.toString("latin1")].join("\n")]).toEqual([
      ...["200", expect.stringMatching(/grpc-status: ?16/)],
    ]);
  }
  const grpc = await curl("web", "/test.Echo/Unary", "--http2", ...bearer(), ...post("application/grpc", "request"));
  expect(grpc.lines.some((line) => /^grpc-status: ?0$/.test(line))).toBe(true);
  const old = await curl("web", "/test.Echo/Unary", "--http1.1", ...bearer(), ...post("application/grpc", "request"));
  expect(old.status).toBe("505");
});

/** Text of gRPC-Web is base64 in parts, each of which may end with padding. */
function base64Parts(body: string): readonly Buffer[] {
  return [...body.matchAll(/[A-Za-z0-9+/]+=*/g)].map(([part]) => Buffer.from(part, "base64"));
}

test("curl asks in the name of a page before it calls, and one of another origin is refused", async () => {
  if (!present.curl) return;
  const ask = (origin: string): string[] => [
    ...["-X", "OPTIONS", "-H", `origin: ${origin}`, "-H", "access-control-request-method: POST"],
    ...["-H", "access-control-request-headers: authorization,content-type"],
  ];
  for (const [flag] of both) {
    const { status, body, lines } = await curl("web", "/test.Echo/Unary", flag, ...ask(page));
    const cors = lines.filter((line) => /^(access-control-|vary)/.test(line)).sort();
    expect([status, body.length, cors]).toEqual([
      ...["204", 0],
      [
        "access-control-allow-headers: authorization,content-type",
        ...["access-control-allow-methods: GET, POST", `access-control-allow-origin: ${page}`],
        ...[
          "access-control-max-age: 600",
          "vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
        ],
      ],
    ]);
    const foreign = await curl("web", "/test.Echo/Unary", flag, ...ask("https://evil.example"));
    const allowed = foreign.lines.filter((line) => line.startsWith("access-control-"));
    expect([foreign.status, allowed]).toEqual(["403", []]);
  }
});

test("curl proves a certificate", async () => {
  if (!present.curl) return;
  const call = [...json, "-d", text] as const;
  const own = (name: string): string[] => ["--cert", path(`${name}.crt`), "--key", path(`${name}.key`)];
  const codes = [];
  for (const flags of [[], own("stranger"), own("till")])
    codes.push((await curl("partners", "/test.Echo/Unary", ...flags, ...call)).status);
  expect(codes).toEqual(["401", "401", "200"]);
});

async function fromPython(listener: string, ...args: readonly string[]): Promise<readonly string[]> {
  const script = join(repository, "test/support/gateway_client.py");
  const { code, stdout, stderr } = await run(python, [script, web.addresses[listener] ?? "", path("ca.pem"), ...args]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.not.stringContaining("Traceback") });
  return stdout.trim().split("\n");
}

test("gRPC for Python calls with a token, and with a certificate; without one it is refused", async () => {
  if (!present.python) return;
  const caller = "spiffe://test/gateway/public";
  const answered = [
    ...[`unary: one 100000 1 ${caller}`, `server stream: many 0 50 ${caller}`, `client stream: c 0 3 ${caller}`],
    "not exposed: UNIMPLEMENTED",
  ];
  const refused = ["unary", "server stream", "client stream"].map((kind) => `${kind}: UNAUTHENTICATED`);
  expect(await fromPython("web", token)).toEqual(answered);
  expect(await fromPython("web", "-")).toEqual([...refused, "not exposed: UNIMPLEMENTED"]);
  expect(await fromPython("partners", "-", path("till.crt"), path("till.key"))).toEqual(answered);
  expect(await fromPython("partners", "-")).toEqual([...refused, "not exposed: UNIMPLEMENTED"]);
}, 90_000);

/** HTTP itself at a gateway: hosts, origins, smuggling, slow and broken clients. */
import { writeFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { request } from "node:https";
import { connect as connectTcp } from "node:net";
import { join } from "node:path";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { dnsName, extendedUsage } from "../support/certificates.js";
import { authority, leafOf, pem } from "../support/outside-provider.js";
import { until } from "../support/until.js";
import { startWebMesh, type WebMesh, webListener, webPolicy } from "../support/web-mesh.js";

const ca = authority("servers");
const names = ["shop.example", "api.example", "unlisted.example"].map(dnsName);
const leaf = leafOf(ca, extendedUsage.server, ...names);

let web: WebMesh;
const trusted = "https://www.shop.example";
const policy = webPolicy(
  [
    webListener("web", ", cors: { maxAge: 10m }"),
    webListener("nocors"),
    "  - { name: plain, expose: [{ service: echo, methods: [test.Echo/Unary] }], callers: { anyone: true } }",
    webListener("small", ", limits: { messageKib: 1, headerKib: 1 }"),
    ...["metered", "streamed"].map((name) => webListener(name, ", limits: { kibPerAddress: 64/h }")),
  ].join("\n"),
);

beforeAll(async () => {
  web = await startWebMesh(policy, (dir) => {
    writeFileSync(join(dir, "tls.crt"), pem(leaf));
    writeFileSync(join(dir, "tls.key"), leaf.keyPem);
    const listeners = ["web", "nocors", "plain"].flatMap((name) => [
      ...["--listener", `${name}=127.0.0.1:0`, "--cert", `${name}=${dir}/tls.crt,${dir}/tls.key`],
      ...["--host", `${name}=shop.example`, "--host", `${name}=api.example`, "--origin", `${name}=${trusted}`],
    ]);
    const plain = ["small", "metered", "streamed"].flatMap((name) => ["--listener", `${name}=127.0.0.1:0`]);
    return [...listeners, ...plain, "--descriptors", `${dir}/echo.binpb`];
  });
}, 90_000);

afterAll(() => web?.stop(), 60_000);

const portOf = (listener: string): number => Number((web.addresses[listener] ?? "").split(":")[1]);

/** Sends bytes over a connection without TLS, and returns all that comes back until it is closed. */
function exchange(listener: string, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp(portOf(listener), "127.0.0.1", () => socket.write(bytes, "latin1"));
    let answer = "";
    socket.on("data", (chunk) => {
      answer += chunk.toString("latin1");
    });
    socket.on("close", () => resolve(answer)).on("error", reject);
  });
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: string;
}

interface Asked {
  readonly listener?: string;
  readonly method?: string;
  readonly path?: string;
  readonly sni?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

/** Sends a request over TLS and HTTP/1.1. */
function ask({
  listener = "web",
  method = "POST",
  path = "/test.Echo/Unary",
  sni = "shop.example",
  headers,
  body,
}: Asked): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        ...{ host: "127.0.0.1", port: portOf(listener), method, path, servername: sni, ca: pem(ca), agent: false },
        headers: { host: "shop.example", ...headers },
      },
      (response) => {
        let text = "";
        response.setEncoding("latin1").on("data", (chunk: string) => {
          text += chunk;
        });
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers as Answer["headers"], body: text }),
        );
      },
    );
    sent.on("error", reject);
    sent.end(body);
  });
}

/** Calls over gRPC with an empty message. Returns the last fields of the answer. */
function grpc(listener: string, more: Record<string, string>): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`http://127.0.0.1:${portOf(listener)}`).on("error", reject);
    const sent = session.request({
      ...{ ":method": "POST", ":path": "/test.Echo/Unary", "content-type": "application/grpc", te: "trailers" },
      ...more,
    });
    let last = {};
    const take = (fields: object): void => {
      last = { ...fields };
    };
    sent.on("response", take).on("trailers", take).on("error", reject).resume();
    sent.on("close", () => {
      session.close();
      resolve(last);
    });
    sent.end(Buffer.alloc(5));
  });
}

const json = { "content-type": "application/json" };
const head = (...lines: readonly string[]): string =>
  `${["POST /test.Echo/Unary HTTP/1.1", "host: x", ...lines].join("\r\n")}\r\n\r\n`;
const call = (...lines: readonly string[]): string => head("content-type: application/json", ...lines);

test("whatever two servers could read differently is refused, with the connection, before the mesh", async () => {
  const smuggled = call("content-length: 2", "connection: close").replace("\r\n\r\n", "\r\n\r\n{}");
  const chunked = call("transfer-encoding: chunked");
  for (const bytes of [
    call("content-length: 5", "transfer-encoding: chunked"),
    call("content-length: 2", "content-length: 5"),
    call("transfer-encoding: chunked", "transfer-encoding: identity"),
    call("x-one: a", " content-length: 2"),
    call("content-length : 2"),
    `${chunked}2;x=y\r\n{}\r\n0\r\n\r\n`,
    `${chunked}2\n{}\r\n0\r\n\r\n`,
    `${chunked}2\r\n{}\r\n0\r\nx: y\r\n\r\n`,
    call("connection: upgrade, http2-settings", "upgrade: h2c", "http2-settings: AAMAAABkAAQAAP__"),
    call("content-length: 2").replace("POST /", "POST http://x/"),
    call("content-length: 2").replace("host: x", "host: x\r\nhost: y"),
    call("content-length: 2").replace("\r\nhost: x", ""),
  ]) {
    const answer = await exchange("small", bytes + smuggled);
    expect([bytes, answer.match(/HTTP\/1.1 \d+/g)]).toEqual([bytes, [expect.stringMatching(/ (400|501)$/)]]);
  }
  expect(await exchange("small", smuggled)).toMatch(/^HTTP\/1.1 200 /);
});

test("one connection carries one request after the other, sent at once too", async () => {
  const body = '{"text":"q"}';
  const many = Array.from({ length: 5 }, () => `${call(`content-length: ${body.length}`)}${body}`).join("");
  const last = `${call(`content-length: ${body.length}`, "connection: close")}${body}`;
  const answer = await exchange("small", many + last);
  expect(answer.match(/"text":"q"/g)?.length).toBe(6);
});

test("a message over the listener's limit is answered 8, in each protocol", async () => {
  const body = JSON.stringify({ text: "x".repeat(2000) });
  const answer = await exchange("small", `${call(`content-length: ${body.length}`, "connection: close")}${body}`);
  expect(answer).toMatch(/^HTTP\/1.1 429 [\s\S]*resource_exhausted/);
  const framed = Buffer.concat([Buffer.from([0, 0, 0, 8, 0]), Buffer.alloc(2048)]).toString("latin1");
  const type = "content-type: application/grpc-web";
  const inFrames = await exchange("small", `${head(type, "content-length: 2053", "connection: close")}${framed}`);
  expect(inFrames).toContain("grpc-status: 8\r\n");
});

test("more header fields than the listener takes are refused, over HTTP/1.1 and HTTP/2", async () => {
  const long = "x".repeat(1100);
  const last = "connection: close";
  const answer = await exchange("small", `${call("content-length: 2", `x-long: ${long}`, last)}{}`);
  expect(answer).toMatch(/^HTTP\/1.1 431 /);
  expect(await exchange("metered", `${call("content-length: 2", `x-long: ${long}`, last)}{}`)).toMatch(
    /^HTTP\/1.1 200 /,
  );
  expect(await grpc("small", { "x-long": long })).toMatchObject({ "grpc-status": "8" });
  expect(await grpc("small", {})).toMatchObject({ "grpc-status": "0" });
});

test("who took more bytes than its address may is refused, and a call that takes twice as many ends", async () => {
  const body = JSON.stringify({ text: "x".repeat(40_000) });
  const text = `${call(`content-length: ${body.length}`, "connection: close")}${body}`;
  expect(await exchange("metered", text)).toMatch(/^HTTP\/1.1 200 /);
  expect(await exchange("metered", text)).toMatch(/^HTTP\/1.1 429 [\s\S]*too many bytes of this client/);
  const refused = await grpc("metered", {});
  expect(refused).toMatchObject({ "grpc-status": "8", "grpc-retry-pushback-ms": expect.stringMatching(/^\d{6}/) });
  const asked = JSON.stringify({ text: "y".repeat(1000), count: 1000 });
  const message = Buffer.concat([Buffer.from([0, 0, 0, 0, 0]), Buffer.from(asked)]);
  message.writeUInt32BE(asked.length, 1);
  const streamed = await exchange(
    "streamed",
    `POST /test.Echo/ServerStream HTTP/1.1\r\nhost: x\r\ncontent-type: application/connect+json\r\nconnection: close\r\ncontent-length: ${message.length}\r\n\r\n${message.toString("latin1")}`,
  );
  expect(streamed).toMatch(/^HTTP\/1.1 200 [\s\S]*resource_exhausted/);
  const passed = streamed.match(/y{1000}/g)?.length ?? 0;
  expect([passed > 90, passed < 140]).toEqual([true, true]); // 128 KiB, less what the call had on its way
  await until("both are recorded", async () => {
    const found = JSON.stringify(await web.mesh.json(0, "decisions", "--denied", "--service", "gateway/public"));
    return found.includes("metered/limits.kibPerAddress") && found.includes("streamed/limits.kibPerAddress");
  });
});

test("a host that is not the listener's, or not the certificate's, is answered 421; another name is no handshake", async () => {
  const hosts = [
    ["shop.example", "shop.example", 200],
    ["shop.example", "api.example:443", 200],
    ["shop.example", "other.example", 421],
    ["unlisted.example", "unlisted.example", 421],
    ["unlisted.example", "shop.example", 200],
  ] as const;
  const found = [];
  for (const [sni, host] of hosts)
    found.push([sni, host, (await ask({ sni, headers: { ...json, host }, body: "{}" })).status]);
  expect(found).toEqual(hosts);
  await expect(ask({ sni: "other.example", headers: { ...json, host: "shop.example" } })).rejects.toThrow();
});

test("a page of a listed origin is let in, with what it may read; others are refused", async () => {
  const origin = trusted;
  const asks = {
    origin,
    "access-control-request-method": "POST",
    "access-control-request-headers": "content-type,x-own",
  };
  const preflight = await ask({ method: "OPTIONS", headers: asks });
  expect(preflight).toMatchObject({ status: 204, body: "" });
  expect(preflight.headers).toMatchObject({
    ...{ "access-control-allow-origin": origin, "access-control-allow-methods": "GET, POST" },
    ...{ "access-control-allow-headers": "content-type,x-own", "access-control-max-age": "600" },
    vary: "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
  });
  expect(preflight.headers["access-control-allow-credentials"]).toBeUndefined();
  const called = await ask({ headers: { ...json, origin }, body: '{"text":"page"}' });
  expect([called.status, called.headers["access-control-allow-origin"]]).toEqual([200, origin]);
  expect(called.headers["access-control-expose-headers"]).toContain("trailer-ashlar-revision");
  for (const [listener, from] of [
    ["web", "https://evil.example"],
    ["web", "null"],
    ["web", `${trusted}.evil.example`],
    ["web", "http://www.shop.example"],
    ["web", "http://shop.example"],
    ["nocors", trusted],
  ] as const) {
    for (const method of ["OPTIONS", "POST", "GET"]) {
      const answer = await ask({ listener, method, headers: { ...asks, ...json, origin: from }, body: "" });
      const allowed = Object.keys(answer.headers).filter((name) => name.startsWith("access-control"));
      expect([from, method, answer.status, allowed]).toEqual([from, method, 403, []]);
    }
  }
  const own = await ask({ listener: "nocors", headers: { ...json, origin: "https://shop.example" }, body: "{}" });
  expect([own.status, own.headers["access-control-allow-origin"]]).toEqual([200, undefined]);
});

test("HTTP/1.1 is not spoken where policy has no use for it", async () => {
  const negotiated = (listener: string, protocols: string[]): Promise<string | false> =>
    new Promise((resolve, reject) => {
      const options = { servername: "shop.example", ca: pem(ca), ALPNProtocols: protocols };
      const socket: TLSSocket = connectTls(portOf(listener), "127.0.0.1", options, () => {
        resolve(socket.alpnProtocol ?? false);
        socket.destroy();
      });
      socket.on("error", reject);
    });
  expect(await negotiated("web", ["http/1.1", "h2"])).toBe("h2");
  expect(await negotiated("web", ["http/1.1"])).toBe("http/1.1");
  expect(await negotiated("plain", ["http/1.1", "h2"])).toBe("h2");
  await expect(negotiated("plain", ["http/1.1"])).rejects.toThrow();
});

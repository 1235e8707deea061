/** Requests of the console: what is answered, what is refused before anything is done, and what every answer carries. */
import { connect as connectPlain } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { authorize } from "../../../control-plane/admin/operated.js";
import { AshlarError } from "../../../core/errors.js";
import { type CallContext, unary } from "../../../runtime/grpc-handlers.js";
import { invalidFields } from "../../../runtime/grpc-status.js";
import { ann, mesh, openTestConsole, type TestConsole } from "../../support/console.js";

let console: TestConsole;
let cookie: string;
const seen: { request: unknown; context: CallContext }[] = [];
const noted: unknown[] = [];
let fails: Error | undefined;

const operated = (answer: object) =>
  unary(async (request: unknown, context: CallContext) => {
    seen.push({ request, context });
    const audit = { record: async (draft: unknown) => void noted.push(draft) };
    await authorize({ mesh, audit, logins: { note: async () => {} } }, context);
    if (fails !== undefined) throw fails;
    return answer;
  }) as never;

beforeAll(async () => {
  console = await openTestConsole(
    {
      rollback: operated({ activation: undefined, tookMs: 12, behind: ["a"] }),
      activateRevision: operated({ activation: undefined, created: true, tookMs: 1 }),
      listServices: operated({ services: [{ name: "<img src=x onerror=alert(1)>", endpoints: [], inPolicy: true }] }),
    },
    { hosts: ["console.example.org"] },
  );
});
beforeEach(async () => {
  seen.length = 0;
  noted.length = 0;
  fails = undefined;
  cookie = await console.logIn();
});
afterAll(() => console.close());

const posted = (headers: Readonly<Record<string, string>>) =>
  console.ask("/api/Rollback", {
    method: "POST",
    body: "{}",
    headers: { cookie, "content-type": "application/json", ...headers },
  });

describe("a method of the admin API", () => {
  test("gets its request, who calls and from where, and answers with numbers as numbers and every field", async () => {
    const answer = await console.call(cookie, "Rollback", { to: 3, reason: "bad" });
    expect([answer.status, JSON.parse(answer.body)]).toEqual([200, { tookMs: 12, behind: ["a"] }]);
    expect(seen[0]?.request).toMatchObject({ to: 3, reason: "bad", wait: false });
    expect(seen[0]?.context).toMatchObject({
      caller: ann.id,
      certificateSerial: "0a",
      method: "/ashlar.v1.AdminService/Rollback",
      source: expect.stringMatching(/^127\.0\.0\.1:\d+ via console$/),
    });
  });

  for (const [name, method, body, why] of [
    ["a field that it does not know", "Rollback", '{"too":1}', 'key \\"too\\" is unknown'],
    ["a value that is none", "Rollback", '{"to":-1}', "out of range"],
    ["a list", "Rollback", "[]", "is no RollbackRequest"],
    ["nothing but text", "Rollback", "{", "is not JSON"],
    ["a method that streams", "WatchActivations", "{}", "GET /api/stream/WatchActivations"],
  ] as const) {
    test(`refuses ${name}`, async () => {
      const headers = { cookie, "content-type": "application/json" };
      const answer = await console.browse(`/api/${method}`, { method: "POST", body, headers });
      expect([answer.status, answer.body]).toEqual([400, expect.stringContaining(why)]);
      expect(seen).toEqual([]);
    });
  }

  test("that is none is not found, whatever its name", async () => {
    for (const name of ["NoSuch", "constructor", "__proto__", "rollback"])
      expect((await console.call(cookie, name)).status).toBe(404);
  });

  for (const [code, status] of [
    ["denied", 403],
    ["stale", 409],
    ["unavailable", 503],
  ] as const) {
    test(`that fails with ${code} is ${status}`, async () => {
      fails = new AshlarError(code, "because");
      const answer = await console.call(cookie, "Rollback");
      expect([answer.status, JSON.parse(answer.body)]).toEqual([status, { code, message: "because", details: [] }]);
    });
  }

  test("says which fields are wrong, and nothing of a fault of our own", async () => {
    fails = invalidFields("invalid_argument", "no", [{ field: "to", description: "too new" }]);
    const { body } = await console.call(cookie, "Rollback");
    expect(JSON.parse(body).details).toEqual([{ field: "to", description: "too new" }]);
    fails = new TypeError("secret of the stack");
    const answer = await console.call(cookie, "Rollback");
    expect([answer.status, JSON.parse(answer.body)]).toEqual([
      500,
      { code: "internal", message: "internal error", details: [] },
    ]);
  });

  test("changes nothing for a session that may only look, and that is noted", async () => {
    const looking = await console.logIn({ ...ann, readOnly: true });
    const answer = await console.call(looking, "ActivateRevision", { revision: 1 });
    expect([answer.status, JSON.parse(answer.body).code]).toEqual([403, "denied"]);
    expect(noted).toMatchObject([{ actor: ann.id, action: "refuse", target: "ActivateRevision", outcome: "denied" }]);
    expect((await console.call(looking, "ListServices")).status).toBe(200);
  });
});

describe("who is not logged in", () => {
  test.each([
    ["POST", "/api/Rollback"],
    ["GET", "/api/session"],
    ["GET", "/api/watch?topic=proxies"],
    ["GET", "/api/stream/WatchActivations"],
    ["POST", "/api/logout"],
  ])("%s %s is 401", async (method, path) => {
    const answer = await console.browse(path, { method, headers: { "content-type": "application/json" } });
    expect([answer.status, JSON.parse(answer.body).code]).toEqual([401, "unauthenticated"]);
    expect(seen).toEqual([]);
  });
});

describe("another site", () => {
  test.each<[string, () => Record<string, string>]>([
    ["with its own origin", () => ({ origin: "https://evil.example" })],
    ["with no origin", () => ({})],
    ["with the origin null", () => ({ origin: "null" })],
    ["with our origin over plain HTTP", () => ({ origin: console.origin.replace("https", "http") })],
    ["of the same host at another port", () => ({ origin: "https://127.0.0.1:1" })],
    ["that the browser calls same-site", () => ({ origin: console.origin, "sec-fetch-site": "same-site" })],
    ["that the browser calls cross-site", () => ({ origin: console.origin, "sec-fetch-site": "cross-site" })],
  ])("%s cannot POST, with the cookie even", async (_name, headers) => {
    expect((await posted(headers())).status).toBe(403);
    expect(seen).toEqual([]);
  });

  test("cannot log somebody in, nor have its form's bytes taken for JSON", async () => {
    const { token } = console.desk.links.create(ann);
    const headers = { origin: "https://evil.example" };
    const answer = await console.ask("/login", { method: "POST", body: `token=${token}`, headers });
    expect([answer.status, console.desk.links.find(token).kind]).toEqual([403, "open"]);
    const form = { origin: console.origin, "content-type": "text/plain" };
    expect((await posted(form)).status).toBe(400);
    expect(seen).toEqual([]);
  });

  test("cannot load data as a script or a picture", async () => {
    const headers = { cookie, "sec-fetch-site": "cross-site" };
    for (const path of ["/api/session", "/api/watch?topic=proxies"])
      expect((await console.ask(path, { headers })).status).toBe(403);
  });

  test("cannot be given our name: only names that are ours are answered", async () => {
    const name = async (host: string) => (await console.ask("/login", { headers: { host } })).status;
    for (const host of ["evil.example", "evil.example:7422", "127.0.0.1.evil.example", "a b", "[::1", "localhost.evil"])
      expect([host, await name(host)]).toEqual([host, 403]);
    for (const host of [
      "127.0.0.1:1",
      "LOCALHOST",
      "[::1]:7422",
      "10.0.0.7",
      "console.example.org",
      "Console.Example.Org:1",
    ])
      expect([host, await name(host)]).toEqual([host, 200]);
  });
});

describe("every answer", () => {
  test.each(["/", "/login", "/login?token=x", "/api/session", "/no/such", "/login.css"])(
    "%s may not be framed, sniffed, or load from elsewhere",
    async (path) => {
      const { headers } = await console.ask(path);
      const csp = String(headers["content-security-policy"]);
      expect(csp).toContain("default-src 'none'");
      expect(csp).toContain("frame-ancestors 'none'");
      expect(csp).not.toContain("unsafe");
      expect(csp).not.toMatch(/https?:|\*|data:/);
      expect(headers).toMatchObject({
        "x-frame-options": "DENY",
        "x-content-type-options": "nosniff",
        "referrer-policy": "same-origin",
        "cache-control": "no-store",
      });
      expect(Object.keys(headers).filter((name) => name.startsWith("access-control"))).toEqual([]);
    },
  );

  test("with markup that people wrote is JSON, which no browser takes for a page", async () => {
    const answer = await console.call(cookie, "ListServices");
    expect(answer.headers["content-type"]).toBe("application/json; charset=utf-8");
    expect(JSON.parse(answer.body).services[0].name).toBe("<img src=x onerror=alert(1)>");
  });
});

describe("what is too much", () => {
  test("a body of more than 12 MiB, announced or not", async () => {
    const headers = { cookie, "content-type": "application/json", origin: console.origin };
    const announced = { ...headers, "content-length": String(13 * 1024 * 1024) };
    const first = await console.ask("/api/Rollback", { method: "POST", headers: announced });
    expect([first.status, first.headers.connection]).toEqual([429, "close"]);
    const { token } = console.desk.links.create(ann);
    const long = `token=${token}&pad=${"x".repeat(5000)}`;
    expect((await console.browse("/login", { method: "POST", body: long })).status).toBe(429);
    expect(seen).toEqual([]);
  });

  test("headers of more than 16 KiB, and methods that are none of ours", async () => {
    expect((await console.ask("/", { headers: { "x-long": "x".repeat(20_000) } })).status).toBe(431);
    const answer = await console.ask("/", { method: "PUT" });
    expect([answer.status, answer.headers.allow]).toEqual([405, "GET, HEAD, POST"]);
  });

  test("a path that climbs out of the pages", async () => {
    for (const path of ["/../package.json", "/%2e%2e/package.json", "//etc/passwd", "/..%2f..%2fpackage.json"])
      expect([200, 404, 503]).toContain((await console.ask(path)).status);
    expect((await console.ask("/../../package.json")).body).not.toContain('"ashlar"');
  });
});

test("over plain HTTP the cookie has another name, and TLS is no page", async () => {
  const plain = await openTestConsole({}, { plain: true });
  try {
    expect(await plain.logIn()).toMatch(/^ashlar-\d+=[\w-]{43}$/);
    const { port } = console;
    const said = await new Promise<string>((resolve) => {
      const socket = connectPlain(port, "127.0.0.1", () => socket.write("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"));
      let text = "";
      socket.on("data", (part) => {
        text += String(part);
      });
      socket.on("error", () => {});
      socket.on("close", () => resolve(text));
    });
    expect(said).not.toContain("HTTP/1.1 200");
  } finally {
    plain.close();
  }
});

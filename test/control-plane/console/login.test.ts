/** Getting in: links that work once, certificates, sessions that end; and who is refused. */
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { linkMs } from "../../../control-plane/console/login-links.js";
import { idleMsMax, sessionMsMax } from "../../../control-plane/console/sessions.js";
import { buildSpiffeId } from "../../../core/identity.js";
import { unary } from "../../../runtime/grpc-handlers.js";
import { ann, mesh, openTestConsole, type TestConsole } from "../../support/console.js";

let console: TestConsole;
beforeEach(async () => {
  console = await openTestConsole({ listServices: unary(() => ({ services: [] })) as never });
});
afterEach(() => console.close());

const session = async (cookie: string) => (await console.browse("/api/session", { headers: { cookie } })).status;

describe("a link", () => {
  test("is shown by GET as often as one likes, and logs in by POST once", async () => {
    const { token } = console.desk.links.create(ann);
    for (const _ of [1, 2]) {
      const shown = await console.ask(`/login?token=${token}`);
      expect(shown.status).toBe(200);
      expect(shown.body).toContain(ann.id);
    }
    const first = await console.browse("/login", { method: "POST", body: `token=${token}` });
    expect([first.status, first.headers.location]).toEqual([303, "/"]);
    expect(String(first.headers["set-cookie"])).toMatch(
      /^__Host-ashlar-\d+=[\w-]{43}; Path=\/; Max-Age=28800; HttpOnly; SameSite=Strict; Secure$/,
    );
    expect(await session(String(first.headers["set-cookie"]).split(";", 1)[0] ?? "")).toBe(200);
    const second = await console.browse("/login", { method: "POST", body: `token=${token}` });
    expect([second.status, second.headers["set-cookie"]]).toEqual([410, undefined]);
    expect(second.body).toContain("This link was used before");
    expect(second.body).toContain("ashlar console --end-sessions");
    expect(console.audit).toMatchObject([
      { actor: ann.id, action: "login", target: "console", outcome: "ok", detail: "by link, certificate 0a" },
      { actor: "anonymous", action: "login", target: "console", outcome: "exists" },
    ]);
  });

  test("is given to one of two who use it at once", async () => {
    const { token } = console.desk.links.create(ann);
    const both = [1, 2].map(() => console.browse("/login", { method: "POST", body: `token=${token}` }));
    expect((await Promise.all(both)).map(({ status }) => status).sort()).toEqual([303, 410]);
  });

  for (const [name, form] of [
    ["made up", `token=${"A".repeat(43)}`],
    ["with markup", "token=%3Cscript%3Ealert(1)%3C/script%3E"],
    ["missing", "x=y"],
  ] as const) {
    test(`that is ${name} is refused, and not repeated`, async () => {
      const answer = await console.browse("/login", { method: "POST", body: form });
      expect([answer.status, answer.headers["set-cookie"]]).toEqual([410, undefined]);
      expect(answer.body).toContain("This link does not work");
      expect(answer.body).not.toContain("<script");
    });
  }

  test("is old after two minutes", async () => {
    const { token } = console.desk.links.create(ann);
    await console.clock.advance(linkMs);
    expect((await console.ask(`/login?token=${token}`)).status).toBe(410);
    expect((await console.browse("/login", { method: "POST", body: `token=${token}` })).status).toBe(410);
  });

  test("goes where an operator makes too many", async () => {
    const { token } = console.desk.links.create(ann);
    for (let count = 0; count < 16; count += 1) console.desk.links.create(ann);
    expect(console.desk.links.find(token).kind).toBe("unknown");
  });
});

describe("an operator's certificate", () => {
  const by = (issued: { chainPem: string; privateKeyPem: string } | undefined) =>
    console.browse("/login/certificate", {
      method: "POST",
      ...(issued === undefined ? {} : { cert: issued.chainPem, key: issued.privateKeyPem }),
    });

  test("logs in", async () => {
    const answer = await by(console.authority.issueOperator({ name: "ann" }));
    expect([answer.status, answer.headers.location]).toEqual([303, "/"]);
    expect(console.audit).toMatchObject([{ actor: ann.id, outcome: "ok", detail: /^by certificate/ }]);
  });

  test("that is none, is a control plane's, or is revoked, does not", async () => {
    expect((await by(undefined)).status).toBe(403);
    const other = await by(console.authority.issueControlPlane({ name: "main", hosts: [] }));
    expect([other.status, other.body]).toEqual([403, expect.stringContaining("is not an operator")]);
    const revoked = console.authority.issueOperator({ name: "bob" });
    console.revoked.push({ serial: revoked.serial, reason: "stolen", timeMs: 1 });
    expect([(await by(revoked)).status, console.audit.map(({ outcome }) => outcome)]).toEqual([
      403,
      ["unauthenticated", "denied", expect.any(String)],
    ]);
  });

  test("of another mesh does not", async () => {
    const other = await openTestConsole({});
    const answer = await by(other.authority.issueOperator({ name: "ann" }));
    other.close();
    expect([answer.status, answer.body]).toEqual([403, expect.stringContaining("another authority")]);
  });

  test("alone is no session: nothing is done for who only shows one", async () => {
    const { chainPem, privateKeyPem } = console.authority.issueOperator({ name: "ann" });
    const answer = await console.browse("/api/session", { cert: chainPem, key: privateKeyPem });
    expect(answer.status).toBe(401);
  });
});

describe("a session", () => {
  test("says who, of which mesh, with which rights, until when", async () => {
    const cookie = await console.logIn();
    const answer = await console.browse("/api/session", { headers: { cookie } });
    const expires = console.clock.nowMs() + sessionMsMax;
    expect(JSON.parse(answer.body)).toEqual({ operator: ann.id, rights: ["look", "change"], mesh, expires });
    const looking = await console.logIn({ ...ann, readOnly: true });
    const { body } = await console.browse("/api/session", { headers: { cookie: looking } });
    expect(JSON.parse(body).rights).toEqual(["look"]);
  });

  test("ends by logout, which takes the cookie back", async () => {
    const cookie = await console.logIn();
    const answer = await console.call(cookie, "logout");
    expect([answer.status, String(answer.headers["set-cookie"])]).toEqual([
      200,
      expect.stringMatching(/=; .*Max-Age=0/),
    ]);
    expect(await session(cookie)).toBe(401);
  });

  test("ends after fifteen minutes without use, and after eight hours in any case", async () => {
    const cookie = await console.logIn();
    await console.clock.advance(idleMsMax - 1);
    expect(await session(cookie)).toBe(200);
    await console.clock.advance(idleMsMax);
    expect(await session(cookie)).toBe(401);
    const used = await console.logIn();
    const stepMs = idleMsMax - 60_000;
    for (let spentMs = stepMs; spentMs < sessionMsMax; spentMs += stepMs) {
      await console.clock.advance(stepMs);
      expect(await session(used)).toBe(200);
    }
    await console.clock.advance(sessionMsMax % stepMs);
    expect(await session(used)).toBe(401);
  });

  test("does not outlive the operator's certificate", async () => {
    const cookie = await console.logIn({ ...ann, certificateExpiresMs: console.clock.nowMs() + 1000 });
    await console.clock.advance(1000);
    expect(await session(cookie)).toBe(401);
  });

  test("ends as soon as the operator's certificate is revoked", async () => {
    const cookie = await console.logIn();
    console.revoked.push({ serial: ann.certificateSerial, reason: "left", timeMs: 1 });
    expect(await session(cookie)).toBe(401);
  });

  test("ends with all others of its operator, and nobody else's", async () => {
    const bob = { ...ann, id: buildSpiffeId(mesh, "operator", "bob") };
    const [first, second, other] = [await console.logIn(), await console.logIn(), await console.logIn(bob)];
    expect(console.desk.sessions.endOf(ann.id)).toBe(2);
    expect([await session(first), await session(second), await session(other)]).toEqual([401, 401, 200]);
  });

  test("is one of sixteen of an operator: a further one ends the oldest", async () => {
    const first = await console.logIn();
    for (let count = 0; count < 16; count += 1) console.desk.sessions.begin(ann);
    expect([await session(first), console.desk.sessions.size]).toEqual([401, 16]);
  });

  test("is not found by a cookie that is given twice, or made up", async () => {
    const cookie = await console.logIn();
    expect(await session(`${cookie}; ${cookie}`)).toBe(401);
    expect(await session(cookie.replace(/.$/, (last) => (last === "A" ? "B" : "A")))).toBe(401);
  });
});

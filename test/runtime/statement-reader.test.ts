import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { parseStatement, statementHeader } from "../../core/wire/statement.js";
import { decisionSubject, endpointSubject, heartbeatSubject } from "../../core/wire/subjects.js";
import { statementSkewMs } from "../../runtime/statement-reader.js";
import { StatementWriter } from "../../runtime/statement-writer.js";
import { toPem } from "../../runtime/tls-identity-keys.js";
import { leafExtensions, makeCertificate } from "../support/certificates.js";
import { ManualClock } from "../support/manual-clock.js";
import { runs } from "../support/runs.js";
import { messageOf, StatementPki, signedMessage, writerOf } from "../support/statements.js";

const pki = new StatementPki();
const p1 = pki.issue("payments", "p1");
const p2 = pki.issue("payments", "p2");
const body = Buffer.from("what it says");
const subject = heartbeatSubject("payments", "p1");
const nowMs = Date.now();

/** A world of its own at the time of the certificates: counters and budgets begin anew. */
function open(clock = new ManualClock(nowMs)) {
  return { clock, reader: pki.reader({ clock }), writer: writerOf(p1, clock) };
}

describe("a statement", () => {
  test("counts once, for the proxy of its certificate, however it came", () => {
    const { reader, writer } = open();
    const message = { ...signedMessage(writer, "heartbeat", subject, body), relayed: true };
    const { writer: by, signed } = reader.hear("heartbeat", message);
    expect([by, signed?.serial, signed?.revoked]).toEqual([
      { service: "payments", proxyId: "p1" },
      p1.serial,
      undefined,
    ]);
    expect(() => reader.hear("heartbeat", message)).toThrow(/came before/);
    expect(reader.hear("heartbeat", signedMessage(writer, "heartbeat", subject, body)).signed).toBeDefined();
  });

  test("that is older or younger than clocks may differ is refused, also by a reader that has just started", async () => {
    const { clock, writer } = open();
    const early = signedMessage(writer, "heartbeat", subject, body);
    await clock.advance(statementSkewMs);
    expect(pki.reader({ clock }).hear("heartbeat", early).signed).toBeDefined();
    await clock.advance(1);
    expect(() => pki.reader({ clock }).hear("heartbeat", early)).toThrow(
      /said 300 s ago: it is old, or a clock is wrong/,
    );
    const behind = new ManualClock(nowMs);
    const future = signedMessage(writerOf(p1, clock), "heartbeat", subject, body);
    expect(() => pki.reader({ clock: behind }).hear("heartbeat", future)).toThrow(/from now: it is old, or a clock/);
  });

  test("of a proxy that was heard before counts by its counter, whoever's clock is set meanwhile", async () => {
    const { clock, reader, writer } = open();
    const early = signedMessage(writer, "heartbeat", subject, body);
    reader.hear("heartbeat", signedMessage(writer, "heartbeat", subject, body));
    const back = new ManualClock(nowMs - 3_600_000);
    const setBack = new StatementWriter({ identity: { current: p1 }, clock: back }, writer.counter);
    expect(reader.hear("heartbeat", signedMessage(setBack, "heartbeat", subject, body)).signed).toBeDefined();
    await clock.advance(3_000_000);
    expect(reader.hear("heartbeat", signedMessage(setBack, "heartbeat", subject, body)).signed).toBeDefined();
    expect(() => reader.hear("heartbeat", early)).toThrow(/came before/);
  });

  const other = new StatementPki("other.mesh");
  const stranger = new StatementPki(); // the same mesh's name, another root
  for (const [name, forge, why] of [
    ["of another proxy of the service", () => signedMessage(writerOf(p2), "heartbeat", subject, body), /proxy "p2"/],
    [
      "of a proxy of another service with the same id",
      () => signedMessage(writerOf(pki.issue("checkout", "p1")), "heartbeat", subject, body),
      /service\/checkout/,
    ],
    [
      "by an identity that the mesh never issued",
      () => signedMessage(writerOf(stranger.issue("payments", "p1")), "heartbeat", subject, body),
      /no root of|chain is broken/,
    ],
    [
      "by a certificate of another mesh",
      () => signedMessage(writerOf(other.issue("payments", "p1")), "heartbeat", subject, body),
      /spiffe:\/\/other.mesh/,
    ],
    [
      "with another proxy's certificate and one's own key",
      () => signedMessage(writerOf({ ...p1, privateKeyPem: p2.privateKeyPem }), "heartbeat", subject, body),
      /does not hold/,
    ],
    ["for another kind of message", () => messageOf(subject, body, writerOf(p1).sign("limits", body)), /does not hold/],
    [
      "for another mesh",
      () => signedMessage(writerOf({ ...p1, mesh: "other.mesh" }), "heartbeat", subject, body),
      /does not hold/,
    ],
    ["without a signature", () => messageOf(subject, body), /not signed/],
    [
      "on a subject that no proxy writes",
      () => signedMessage(writerOf(p1), "heartbeat", "ashlar.read.x", body),
      /no proxy/,
    ],
    ["too long", () => messageOf(subject, body, { [statementHeader]: "A".repeat(20_000) }), /at most/],
    ["that is no statement", () => messageOf(subject, body, { [statementHeader]: "////" }), /base64url/],
    ["of nothing", () => messageOf(subject, body, { [statementHeader]: "" }), /chain is empty/],
  ] as const) {
    test(`${name} does not exist`, () => expect(() => pki.reader().hear("heartbeat", forge())).toThrow(why));
  }

  test("of a lapsed certificate does not exist, and what was stored while it was good stands", () => {
    const clock = new ManualClock(nowMs + 7_200_000);
    const message = signedMessage(writerOf(p1, clock), "endpoint", endpointSubject("payments", "p1"), body);
    const reader = pki.reader({ clock });
    expect(() => reader.read("endpoint", message)).toThrow(/expired/);
    const { notAfterMs } = p1;
    expect(reader.read("endpoint", message, notAfterMs + statementSkewMs).signed?.notAfterMs).toBe(notAfterMs);
    expect(() => reader.read("endpoint", message, notAfterMs + statementSkewMs + 1)).toThrow(/expired/);
    const batch = signedMessage(writerOf(p1, clock), "decision", decisionSubject("payments", "p1"), body);
    expect(reader.read("decision", batch, nowMs).signed).toBeDefined();
    expect(() => reader.read("decision", batch, nowMs - 120_000 - statementSkewMs)).toThrow(/not valid/);
  });

  test("of a revoked certificate says so, from when it was revoked on, without any chain being judged anew", () => {
    const own = new StatementPki();
    const revoked = own.issue("payments", "p1");
    const reader = own.reader();
    const message = signedMessage(writerOf(revoked), "endpoint", endpointSubject("payments", "p1"), body);
    expect(reader.read("endpoint", message).signed?.revoked).toBeUndefined();
    own.revoke(revoked.serial, "laptop stolen", nowMs);
    expect(reader.read("endpoint", message, nowMs).signed?.revoked?.reason).toBe("laptop stolen");
    expect(reader.read("endpoint", message, nowMs - 1).signed?.revoked?.reason).toBe("laptop stolen"); // a clock may be behind
    const batch = signedMessage(writerOf(revoked), "decision", decisionSubject("payments", "p1"), body);
    expect(reader.read("decision", batch, nowMs).signed?.revoked?.reason).toBe("laptop stolen");
    expect(reader.read("decision", batch, nowMs - 1).signed?.revoked).toBeUndefined();
  });

  test("by a key that is not on P-256, or under a subject that is no proxy's id, does not exist", () => {
    const root = new StatementPki();
    const self = makeCertificate({ name: "p1", extensions: leafExtensions("spiffe://test.mesh/service/payments") });
    const identity = { ...p1, certificateChainPem: toPem([self.der]), privateKeyPem: self.keyPem };
    const message = signedMessage(writerOf(identity), "heartbeat", subject, body);
    expect(() => root.reader().hear("heartbeat", message)).toThrow(/no root of/);
  });
});

describe("what is not signed", () => {
  const untilMs = nowMs + 1000;
  const unsigned = messageOf(subject, body);

  test("counts until the stated time where its writer published it, and never again of a proxy that was heard signing", async () => {
    const clock = new ManualClock(nowMs);
    const reader = pki.reader({ clock, unsignedUntilMs: () => untilMs });
    expect(reader.hear("heartbeat", unsigned)).toEqual({
      writer: { service: "payments", proxyId: "p1" },
      signed: undefined,
    });
    expect(() => reader.hear("heartbeat", { ...unsigned, relayed: true })).toThrow(/did not publish/);
    reader.hear("heartbeat", signedMessage(writerOf(p1, clock), "heartbeat", subject, body));
    expect(() => reader.hear("heartbeat", unsigned)).toThrow(/this proxy signs/);
    await clock.advance(1000);
    expect(() => pki.reader({ clock, unsignedUntilMs: () => untilMs }).hear("heartbeat", unsigned)).toThrow(
      /not signed/,
    );
  });
});

describe("I8: what verifying costs", () => {
  test("ten forgeries a second in a proxy's name are judged, and its silence says nothing then", async () => {
    const { clock, reader, writer } = open();
    const endpoint = endpointSubject("payments", "p1");
    const stated = () => signedMessage(writer, "endpoint", endpoint, body);
    reader.read("endpoint", stated());
    const forged = { ...stated(), data: Buffer.from("other") };
    for (let count = 0; count < 10; count++) expect(() => reader.read("endpoint", forged)).toThrow(/does not hold/);
    expect(() => reader.read("endpoint", forged)).toThrow(/not looked at/);
    expect(() => reader.read("endpoint", stated())).toThrow(/not looked at/);
    expect(reader.readAsked("endpoint", stated()).signed).toBeDefined();
    expect([reader.isDoubtful("p1"), reader.isDoubtful("p2")]).toEqual([true, false]);
    await clock.advance(1000);
    expect(reader.read("endpoint", stated()).signed).toBeDefined();
    await clock.advance(3000);
    expect(reader.isDoubtful("p1")).toBe(false);
  });

  test("what follows the last link that held is judged whatever was forged, also when some were lost on their way", () => {
    const { reader, writer } = open();
    const next = () => signedMessage(writer, "heartbeat", subject, body);
    reader.hear("heartbeat", next());
    const strangers = writerOf(p1, new ManualClock(nowMs));
    for (let count = 0; count < 9; count++) strangers.sign("heartbeat", body); // their counters are ahead, their links are not ours
    const forged = () => ({ ...signedMessage(strangers, "heartbeat", subject, body), data: Buffer.from("other") });
    for (let count = 0; count < 10; count++) expect(() => reader.hear("heartbeat", forged())).toThrow(/does not hold/);
    expect(() => reader.hear("heartbeat", forged())).toThrow(/not looked at/);
    for (let lost = 0; lost < 15; lost++) next();
    const heard = next();
    const link = { ...heard, data: Buffer.from("with a link that was just said") };
    expect(reader.hear("heartbeat", heard).signed).toBeDefined();
    expect(() => reader.hear("heartbeat", link)).toThrow();
    for (let lost = 0; lost < 16; lost++) next();
    expect(() => reader.hear("heartbeat", next())).toThrow(/not looked at/);
  });

  test("certificates that are not known cost those who are nothing", () => {
    const { reader, writer, clock } = open();
    reader.hear("heartbeat", signedMessage(writer, "heartbeat", subject, body));
    const other = writerOf(p2, clock);
    other.sign("heartbeat", body);
    const flood = () => signedMessage(other, "heartbeat", subject, body);
    for (let count = 0; count < 50; count++) expect(() => reader.hear("heartbeat", flood())).toThrow(/proxy "p2"/);
    expect(() => reader.hear("heartbeat", flood())).toThrow(/not looked at/);
    expect(reader.hear("heartbeat", signedMessage(writer, "heartbeat", subject, body)).signed).toBeDefined();
  });

  test("500 in vain in all names together, and 100 in one name even with a link that follows", () => {
    const { reader, clock } = open();
    const writers = Array.from({ length: 100 }, (_, index) => writerOf(pki.issue("payments", `f${index}`), clock));
    const count = (times: number, hear: () => unknown): number => {
      let judged = 0;
      for (let time = 0; time < times; time++) {
        try {
          hear();
        } catch (error) {
          if (String(error).includes("does not hold")) judged += 1;
        }
      }
      return judged;
    };
    for (const [index, writer] of writers.entries())
      reader.hear("heartbeat", signedMessage(writer, "heartbeat", heartbeatSubject("payments", `f${index}`), body));
    const [first] = writers;
    const linked = first && signedMessage(first, "heartbeat", heartbeatSubject("payments", "f0"), body);
    expect(count(1000, () => linked && reader.hear("heartbeat", { ...linked, data: Buffer.of(1) }))).toBe(100);
    let judged = 100;
    for (const [index, writer] of writers.entries()) {
      const message = signedMessage(writer, "endpoint", endpointSubject("payments", `f${index}`), body);
      judged += count(20, () => reader.read("endpoint", { ...message, data: Buffer.of(1) }));
    }
    expect(judged).toBe(500);
  });
});

test("I3: any bit flipped in message or statement is refused, save in certificates that nothing hangs on", () => {
  const { reader, writer } = open();
  const data = Buffer.from("a heartbeat of some length");
  const header = writer.sign("heartbeat", data)[statementHeader] ?? "";
  const [, ...rest] = parseStatement(header).chain;
  fc.assert(
    fc.property(fc.boolean(), fc.nat(), fc.integer({ min: 0, max: 7 }), (inBody, at, bit) => {
      const bytes = Buffer.from(inBody ? data : Buffer.from(header, "base64url"));
      const place = at % bytes.length;
      bytes[place] = (bytes[place] ?? 0) ^ (1 << bit);
      const text = inBody ? header : bytes.toString("base64url");
      if (!inBody && rest.some((der) => bytes.indexOf(der) < 0)) return; // the intermediate: the leaf was judged before
      const message = messageOf(subject, inBody ? bytes : data, { [statementHeader]: text });
      expect(() => pki.reader().hear("heartbeat", message)).toThrow();
    }),
    { numRuns: runs(300) },
  );
  expect(reader.hear("heartbeat", messageOf(subject, data, { [statementHeader]: header })).signed).toBeDefined();
});

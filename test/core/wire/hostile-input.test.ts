/** I8: as much as fits, as deep as fits, and lengths that lie: one clear refusal, in bounded time, never a crash. */
import { describe, expect, test } from "@jest/globals";
import { digestOf } from "../../../core/digest.js";
import { AshlarError, messageOf } from "../../../core/errors.js";
import { readCondition } from "../../../core/policy/condition/condition.js";
import { publicKeyFromBytes, signRecord } from "../../../core/signature.js";
import { parsePolicyFiles } from "../../../core/snapshot/parse-files.js";
import { parseCases } from "../../../core/testing/parse-cases.js";
import { readJwks } from "../../../core/token/jwks.js";
import { parseAuditEntry } from "../../../core/wire/audit.js";
import { parseBundle } from "../../../core/wire/bundle.js";
import { parseBatch } from "../../../core/wire/decisions.js";
import { parseEndpoint, parseHeartbeat } from "../../../core/wire/fleet.js";
import { parseLimitReport } from "../../../core/wire/limit-report.js";
import { verifyActivation, verifyFreshness, verifyRevision, verifyTrust } from "../../../core/wire/records.js";
import { verifyRollout } from "../../../core/wire/rollouts.js";
import { fieldsCountMax, hasMoreFields } from "../../../core/wire/strict.js";
import { parseSnapshotList, parseUnit } from "../../../core/wire/units.js";
import { createTestKey, testMesh } from "../../support/records.js";

const mebibyte = 1024 * 1024;
/** Processor time that one message may cost here, where nothing is compiled yet and others use the machine too. */
const cpuMsMax = 10_000;
const key = createTestKey();
const keys = new Map([[key.signer.kid, publicKeyFromBytes(key.publicKey)]]);
const writer = { service: "payments", proxyId: "payments-1" };

/** Runs `read`; whatever it throws has to be ours, and short. */
function bounded<Result>(read: () => Result): Result | AshlarError {
  const before = process.cpuUsage();
  try {
    return read();
  } catch (error) {
    expect(error).toBeInstanceOf(AshlarError);
    expect(messageOf(error).length).toBeLessThan(1000);
    return error as AshlarError;
  } finally {
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000).toBeLessThan(cpuMsMax);
  }
}
const repeat = (unit: readonly number[], bytes: number): Uint8Array =>
  new Uint8Array(Buffer.alloc(bytes - (bytes % unit.length), Uint8Array.from(unit)));

/** Fields within fields, each the only content of the one around it. */
function nest(tag: number, bytesMax: number): Uint8Array {
  const parts: Buffer[] = [];
  for (let length = 0; ; ) {
    const head = [tag];
    for (let rest = length; ; rest = Math.floor(rest / 128)) {
      head.push((rest % 128) | (rest > 127 ? 128 : 0));
      if (rest <= 127) break;
    }
    if (length + head.length > bytesMax) return new Uint8Array(Buffer.concat(parts.reverse()));
    parts.push(Buffer.from(head));
    length += head.length;
  }
}

const hostile: Readonly<Record<string, (bytes: number) => Uint8Array>> = {
  "of empty fields": (bytes) => repeat([0x0a, 0], bytes),
  "of other empty fields": (bytes) => repeat([0x1a, 0], bytes),
  "of unknown fields": (bytes) => repeat([0x9a, 0x06, 0], bytes),
  "of groups in groups": (bytes) => repeat([0x0b], bytes),
  "of endless numbers": (bytes) => repeat([0xff], bytes),
  "whose length lies": (bytes) => Uint8Array.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, ...repeat([0x41], bytes - 6)]),
  "nested as deep as it goes": (bytes) => nest(0x12, bytes),
};

/** For what is large: the worst of them. */
const worst = ["of empty fields", "whose length lies", "nested as deep as it goes"].flatMap(
  (name) => hostile[name] ?? [],
);

describe("bytes", () => {
  const doors: readonly (readonly [string, number, (bytes: Uint8Array) => unknown])[] = [
    ["a heartbeat", 65_536, (bytes) => parseHeartbeat(bytes, writer)],
    ["an endpoint", 65_536, (bytes) => parseEndpoint(bytes, writer)],
    ["a batch of decisions", 524_288, (bytes) => parseBatch(bytes, writer)],
    ["a limit report", 262_144, (bytes) => parseLimitReport(bytes, writer)],
    ["an audit entry", 65_536, (bytes) => parseAuditEntry(bytes)],
    ["a unit", 524_288, (bytes) => parseUnit(bytes, { name: "payments", digest: digestOf(bytes) })],
    ["a snapshot list", 8 * mebibyte, (bytes) => parseSnapshotList(bytes, digestOf(bytes))],
  ];
  for (const [name, most, read] of doors) {
    test(`as ${name} are refused at the largest size, and unread above it`, () => {
      for (const make of most > mebibyte ? worst : Object.values(hostile)) {
        const refused = bounded(() => read(make(most)));
        if (name !== "an endpoint" && name !== "a limit report") expect(refused).toBeInstanceOf(AshlarError);
      }
      expect(bounded(() => read(new Uint8Array(most + mebibyte)))).toMatchObject({ code: "limit" });
    });
  }

  const records = [
    ["ashlar-revision", verifyRevision],
    ["ashlar-activation", verifyActivation],
    ["ashlar-trust", verifyTrust],
    ["ashlar-rollout", verifyRollout],
    ["ashlar-freshness", verifyFreshness],
  ] as const;
  test.each(records)("as the payload of a signed %s are read to an end", (type, verify) => {
    for (const make of worst) {
      const bytes = signRecord(type, testMesh, make(700 * 1024), key.signer);
      bounded(() => verify(bytes, testMesh, keys));
    }
  });

  test("in a bundle of 8 MiB are refused", () => {
    const begin = Buffer.from([10, 15, ...Buffer.from("ashlar-bundle-1")]);
    for (const make of worst) {
      const bytes = new Uint8Array(Buffer.concat([begin, make(8 * mebibyte - 64)]));
      expect(bounded(() => parseBundle(bytes))).toBeInstanceOf(AshlarError);
    }
  });

  test("are counted before any object is made of them", () => {
    const flood = repeat([0x0a, 0], 2 * fieldsCountMax + 2);
    expect([hasMoreFields(flood, fieldsCountMax), hasMoreFields(flood, fieldsCountMax + 1)]).toEqual([true, false]);
    expect(hasMoreFields(Uint8Array.from([8, 1, 0x11, ...new Uint8Array(8), 0x1a, 2, 8, 8, 0x25, 1, 2, 3, 4]), 3)).toBe(
      true,
    );
    expect(hasMoreFields(Uint8Array.from([8, 1, 0x11, ...new Uint8Array(8), 0x1a, 2, 8, 8, 0x25, 1, 2, 3, 4]), 4)).toBe(
      false,
    );
  });
});

describe("an envelope", () => {
  const deep = Buffer.from(`{"alg":${"[".repeat(300_000)}${"]".repeat(300_000)}}`).toString("base64url");
  for (const [name, text, why] of [
    ["whose header is 800 KB of brackets", `${deep}.AA.AA`, /header has \d+ bytes, at most 4096/],
    ["of dots alone", ".".repeat(mebibyte), /not a signed record/],
    ["of a mebibyte and more", "A".repeat(mebibyte + 1), /at most 1048576 are read/],
    ["without a header", ".AA.AA", /header is not JSON/],
  ] as const) {
    test(`${name} is refused before its signature is looked at`, () => {
      const refused = bounded(() => verifyActivation(new Uint8Array(Buffer.from(text)), testMesh, keys));
      expect(refused).toMatchObject({ code: "invalid_record", message: expect.stringMatching(why) });
    });
  }
});

describe("text", () => {
  let laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (let level = 1; level < 12; level += 1) laughs += `a${level}: &a${level} [${Array(10).fill(`*a${level - 1}`)}]\n`;
  const texts: Readonly<Record<string, string>> = {
    "a billion laughs": `${laughs}kind: Service\nname: a\n`,
    "brackets, 100,000 deep": "[".repeat(100_000),
    "braces, 100,000 deep": "{a: ".repeat(100_000),
    "JSON, 100,000 deep": '{"a":'.repeat(100_000),
    "dashes, 100,000 deep": "- ".repeat(100_000),
    "questions, 100,000 deep": "? ".repeat(100_000),
    "more than is read": "a".repeat(mebibyte + 1),
  };
  test.each(Object.keys(texts))("%s as a policy file, and as policy tests, is a finding", (name) => {
    const files = [{ name: "hostile.yaml", content: texts[name] ?? "" }];
    const { findings } = bounded(() => parsePolicyFiles(files)) as ReturnType<typeof parsePolicyFiles>;
    expect(findings.map(({ severity }) => severity)).toContain("error");
    bounded(() => parseCases(files, []));
  });

  test.each([
    ["a list", `a: [${"b,".repeat(mebibyte / 2 - 8)}]`, /more than 250000 words, texts and signs; split the file/],
    ["a mapping", "a: b\n".repeat(mebibyte / 5), /more than 250000 words, texts and signs; split the file/],
    ["nothing but commas", `[${",".repeat(mebibyte - 8)}]`, /a comma with nothing before it/],
  ])("a policy file of a mebibyte of tiny values is read to a bound: %s", (_name, content, said) => {
    const { findings } = parsePolicyFiles([{ name: "tiny.yaml", content }]);
    expect(findings.length).toBeLessThan(200);
    expect(findings).toContainEqual(
      expect.objectContaining({ file: "tiny.yaml", severity: "error", message: expect.stringMatching(said) }),
    );
  });

  test("several files share what may be read of one request", () => {
    const file = (name: string) => ({ name, content: `[${"b,".repeat(120_000)}]` });
    const { findings } = parsePolicyFiles([file("1"), file("2"), file("3")]);
    expect(findings.filter(({ message }) => /words, texts and signs/.test(message)).map((one) => one.file)).toEqual([
      "3",
    ]);
  });

  const conditions: Readonly<Record<string, string>> = {
    "a mebibyte": "a".repeat(mebibyte),
    "brackets, 100,000 deep": "(".repeat(100_000),
    "2000 brackets": "(".repeat(2000),
    "2000 times not": `${"!".repeat(2000)}a`,
    "500 times and": Array(500).fill("a").join("&&"),
    "190 choices": "a?b:".repeat(190),
    "600 indexes": `a${"[0]".repeat(600)}`,
    "macros in macros": `${"[1].all(a, ".repeat(12)}true${")".repeat(12)}`,
    "a pattern that backtracks": 'request.path.matches("(a+)+$")',
  };
  test.each(Object.keys(conditions))("%s as a condition is refused", (name) => {
    expect(bounded(() => readCondition(conditions[name] ?? ""))).toEqual(expect.any(Array));
  });

  test("60,000 brackets, or 6000 keys, as a key set are refused", () => {
    expect(bounded(() => readJwks(`{"keys":${"[".repeat(60_000)}`))).toBeInstanceOf(AshlarError);
    expect(bounded(() => readJwks(`{"keys":[${Array(6000).fill('{"k":1}')}]}`))).toMatchObject({ code: "limit" });
  });
});

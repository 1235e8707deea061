import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { AuditFileVerifier, renderAuditLine } from "../../../core/audit/audit-file.js";
import type { AuditVerdict } from "../../../core/audit/audit-verifier.js";
import { digestOf } from "../../../core/digest.js";
import { encodeAuditEntry, parseAuditEntry } from "../../../core/wire/audit.js";
import { signFreshness } from "../../../core/wire/records.js";
import { auditRootHash, chainOf, fileOf, signHead } from "../../support/audit-chain.js";
import { buildFreshness, createTestKey, testMesh } from "../../support/records.js";

const details = Array.from({ length: 12 }, (_, index) => `change ${index}`);
const entries = chainOf(details); // heads at 6 and 11; 14 entries
const lines = fileOf(entries);

function verify(file: readonly string[], rootHash = auditRootHash): AuditVerdict {
  const verifier = new AuditFileVerifier(rootHash);
  for (const line of file) verifier.add(line);
  return verifier.finish();
}
const problems = (file: readonly string[]): readonly string[] => verify(file).problems;
const without = (...sequences: number[]): string[] => lines.filter((_, index) => !sequences.includes(index));

/** The log from the entry `at` on as somebody would write it who may write and cannot sign. */
function rewritten(at: number, detail: string): Uint8Array[] {
  const forged = entries.slice(0, at - 1);
  for (const bytes of entries.slice(at - 1)) {
    const entry = parseAuditEntry(bytes);
    const last = forged.at(-1);
    const changed = entry.sequence === at ? { ...entry, detail } : entry;
    forged.push(encodeAuditEntry({ ...changed, previous: last && digestOf(last) }));
  }
  return forged;
}

describe("an exported audit log", () => {
  test("that is whole holds, and says how far it is signed", () => {
    expect(verify(lines)).toEqual({
      entries: 14,
      first: 1,
      last: 14,
      heads: 3,
      signedUntil: 14,
      signedMs: 1_700_000_000_000,
      problems: [],
    });
  });

  test("of an entry that was changed names it", () => {
    const changed = [...lines];
    changed[7] = renderAuditLine(
      encodeAuditEntry({ ...parseAuditEntry(entries[6] ?? new Uint8Array()), detail: "no" }),
    );
    expect(problems(changed)).toEqual(["entry 7 or 8 was changed: entry 8 does not name the one before it"]);
    changed[7] = (lines[7] ?? "").replace("change 5", "change 9");
    expect(problems(changed)).toEqual(["line 8 was changed: what it says is not what its bytes say"]);
  });

  test("of an entry that was removed, moved or inserted names it", () => {
    expect(problems(without(7))).toEqual(["entry 7 is missing"]);
    expect(problems(without(7, 8, 9))).toEqual(["entries 7 to 9 are missing"]);
    const moved = [...without(7).slice(0, 8), lines[7] ?? "", ...without(7).slice(8)];
    expect(problems(moved)).toEqual(["entry 7 is missing", "entry 7 was moved or inserted; it stands after entry 8"]);
    const twice = [...lines.slice(0, 8), lines[7] ?? "", ...lines.slice(8)];
    expect(problems(twice)).toEqual(["entry 7 is there twice: one was inserted; it stands after entry 7"]);
  });

  test("whose tail was cut off is found, whatever end it is given", () => {
    expect(problems([...lines.slice(0, 13), lines.at(-1) ?? ""])).toEqual([
      "entries 13 to 14 are missing: the end was cut off",
    ]);
    expect(problems(lines.slice(0, 13))).toEqual([
      "the end is not signed: entries after entry 12 may have been cut off",
    ]);
    expect(problems(fileOf(entries, signHead(entries.slice(0, 10))))).toEqual([
      "entries 11 to 14 are under no signature: they were added",
    ]);
  });

  test("that was rewritten from an entry on, chain and all, is found by the signed heads", () => {
    expect(problems(fileOf(rewritten(3, "nothing")))).toEqual([
      "an entry of 1 to 5 was changed: it is not what was signed at entry 6",
      "an entry of 1 to 10 was changed: it is not what was signed at entry 11",
    ]);
    const own = signHead(rewritten(13, "nothing"), createTestKey().signer);
    expect(problems(fileOf(rewritten(13, "nothing"), own))).toEqual([
      expect.stringMatching(/^the signed head at the end does not hold: .*not trusted/),
    ]);
  });

  test("is held against the pinned root, and a record of another kind is no head (I3)", () => {
    expect(() => verify(lines, digestOf(new Uint8Array(1)))).toThrow(/root hash/);
    expect(() => verify(["hello"])).toThrow(/not a file that/);
    expect(() => verify([])).toThrow(/empty/);
    const other = signFreshness(buildFreshness(), testMesh, createTestKey().signer).bytes;
    expect(problems(fileOf(entries, other))[0]).toContain('says it is "ashlar-freshness"');
  });

  test("with any line taken out, doubled or swapped with the next does not hold", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: lines.length - 2 }),
        fc.constantFrom("out", "double", "swap"),
        (at, what) => {
          const [one = "", next = ""] = lines.slice(at, at + 2);
          const changed = what === "out" ? [] : what === "double" ? [one, one] : [next, one];
          const file = [...lines.slice(0, at), ...changed, ...lines.slice(what === "swap" ? at + 2 : at + 1)];
          expect(problems(file)).not.toEqual([]);
        },
      ),
    );
  });
});

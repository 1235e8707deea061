import { createHash } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { auditEntry, journalEntryInfo } from "../../console/api/record-messages.js";
import { addLink, emptyChain, fromBase64, readLink, toHex } from "../../console/pages/audit/chain.js";
import { detailOf, filterAudit, valuesOf } from "../../console/pages/audit/filter-audit.js";
import { filterJournal, readFrames, stateOfEntry } from "../../console/pages/journal/journal-entries.js";
import { auditChain, auditEntries, framed, journalEntries } from "../support/console/fixture-records.js";

describe("the chain of the audit log", () => {
  const stored = auditChain(1_800_000_000_000).map(fromBase64);
  const followed = (entries: readonly Uint8Array[]) =>
    entries.reduce(
      (chain, bytes) => addLink(chain, readLink(bytes), createHash("sha256").update(bytes).digest("hex")),
      emptyChain,
    );

  test("holds as it was written", () => {
    expect(followed(stored)).toMatchObject({ entries: stored.length, last: stored.length, problems: [] });
  });

  test("an entry that was changed is found by the next one", () => {
    const changed = stored.map((bytes, index) => (index === 3 ? flip(bytes, bytes.length - 1) : bytes));
    expect(followed(changed).problems).toEqual(["entry 4 or 5 was changed: 5 does not name the one before it"]);
  });

  test("entries that are missing, moved, or cut off at the beginning are found", () => {
    expect(followed(stored.filter((_, index) => index !== 2)).problems).toEqual(["entries 3 to 3 are missing"]);
    expect(followed([...stored, ...stored.slice(0, 1)]).problems[0]).toContain("entry 1 was moved or inserted");
    expect(followed(stored.slice(2)).problems).toEqual(["the log begins with entry 3"]);
  });

  test("what is no entry is said, whatever it is", () => {
    for (const bytes of [[], [255], [8], [18, 200], [11, 1], Array(40).fill(255)])
      expect(readLink(Uint8Array.from(bytes))).toBeUndefined();
    expect(followed([Uint8Array.from([1, 2, 3])]).problems).toEqual(["what stands after entry 0 is no entry"]);
  });

  test("problems have a bound", () => {
    expect(followed(Array.from({ length: 500 }, () => Uint8Array.from([7]))).problems).toHaveLength(20);
  });

  test("bytes are what they were", () => {
    expect(toHex(fromBase64(Buffer.from([0, 15, 255]).toString("base64")))).toBe("000fff");
  });
});

function flip(bytes: Uint8Array, place: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[place] = (copy[place] ?? 0) ^ 1;
  return copy;
}

describe("the audit log", () => {
  const entries = auditEntries(1_800_000_000_000).map((entry) => auditEntry(entry));
  const everything = { search: "", action: "", actor: "", outcome: "" };
  const found = (filter: object) => filterAudit(entries, { ...everything, ...filter }).map(({ sequence }) => sequence);

  test("is filtered by what, who and outcome, newest first", () => {
    expect(found({})).toEqual([8, 7, 6, 5, 4, 3, 2, 1]);
    expect(found({ action: "activate" })).toEqual([7, 3, 2]);
    expect(found({ outcome: "refused" })).toEqual([8, 3]);
    expect(found({ search: "mallory revision" })).toEqual([3]);
    expect(valuesOf(entries, "action")).toEqual(["activate", "approve", "head", "publish", "token"]);
  });

  test("a signed record is named and not shown", () => {
    expect(entries.slice(3, 6).map(detailOf)).toEqual([
      "a signed record",
      "version v2, 1 use, 10 minutes",
      "a signature over all entries before it",
    ]);
  });
});

describe("the journal", () => {
  const entries = journalEntries(1_800_000_000_000).map((entry) => journalEntryInfo(entry));

  test("says what became of each write", () => {
    expect(entries.map((entry) => stateOfEntry(entry).word).filter((word) => word !== "OK")).toEqual([
      "void",
      "FAILED_PRECONDITION",
      "outcome unknown",
    ]);
  });

  test("is filtered by state and searched, newest first", () => {
    const found = (search: string, state: string) =>
      filterJournal(entries, { search, state }).map(({ sequence }) => sequence);
    expect(found("", "void")).toEqual([35]);
    expect(found("", "unresolved")).toEqual([41]);
    expect(found("", "settled")).toHaveLength(12);
    expect(found("ada account-0", "").slice(0, 2)).toEqual([42, 39]);
  });

  test("messages are read as gRPC frames them", () => {
    const { lengths, dump, cut } = readFrames(fromBase64(framed("hello <b>")));
    expect([lengths, cut]).toEqual([[9], false]);
    expect(dump).toBe("0000  00 00 00 00 09 68 65 6c 6c 6f 20 3c 62 3e        ·····hello <b>");
    expect(readFrames(new Uint8Array(5000))).toMatchObject({ cut: true });
    expect(readFrames(Uint8Array.from([0, 255, 255, 255, 255])).lengths).toEqual([4_294_967_295]);
  });
});

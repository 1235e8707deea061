import { hash } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { batchRecordsMax, bodyAtPlace, buildBatch, splitPlace, withPlace } from "../../../core/wire/statement-batch.js";

const digestsOf = (count: number): Buffer[] =>
  Array.from({ length: count }, (_, at) => hash("sha256", Buffer.from(`record ${at}`), "buffer"));

/** undefined: there is no such place. */
function bodyAt(digest: Uint8Array, place: string): Buffer | undefined {
  try {
    return bodyAtPlace(digest, place);
  } catch {
    return undefined;
  }
}

describe("records that are signed together", () => {
  test.each([1, 2, 3, 4, 5, 7, 8, 13, 64, 65, batchRecordsMax])(
    "%d of them each lead to the same body alone",
    (count) => {
      const digests = digestsOf(count);
      const { body, places } = buildBatch(digests);
      for (const [at, place] of places.entries()) expect(bodyAtPlace(digests[at] as Buffer, place)).toEqual(body);
    },
  );

  test("bodies and places keep their bytes, so that every version reads what another one signed", () => {
    const all = [1, 2, 3, 5, 8, 65].map((count) => {
      const { body, places } = buildBatch(digestsOf(count));
      return `${body.toString("hex")} ${places.join(" ")}`;
    });
    expect(hash("sha256", all.join("\n"), "hex")).toBe(
      "d2ee13e653e71e4be71584ad3455f9f84a87344ebb5b4d7d872a7f9991aeac1c",
    );
  });

  test("a record is at no other place, and another record is not at its place", () => {
    for (let count = 2; count <= 9; count += 1) {
      const digests = digestsOf(count);
      const { body, places } = buildBatch(digests);
      for (const [at, digest] of digests.entries())
        for (const [index, place] of places.entries())
          if (index !== at) expect(bodyAt(digest, place)?.equals(body) ?? false).toBe(false);
    }
  });

  test("a body says how many there are, and what they are in their order", () => {
    const bodies = [digestsOf(2), digestsOf(3), digestsOf(4), digestsOf(3).reverse()].map((all) =>
      buildBatch(all).body.toString("hex"),
    );
    expect(new Set(bodies).size).toBe(bodies.length);
  });

  test.each([
    ["empty", () => ""],
    ["not base64url", (place: string) => `${place}=`],
    ["too short", (place: string) => Buffer.from(place, "base64url").subarray(0, -1).toString("base64url")],
    [
      "too long",
      (place: string) => Buffer.concat([Buffer.from(place, "base64url"), Buffer.alloc(32)]).toString("base64url"),
    ],
    ["beyond its batch", () => Buffer.from([0, 3, 0, 3]).toString("base64url")],
    ["of a batch that is too large", () => Buffer.from([0, 0, 255, 255]).toString("base64url")],
    ["longer than any", () => "A".repeat(4000)],
  ])("a place that is %s is none", (_what, made) => {
    const [digest] = digestsOf(5) as [Buffer];
    const [place = ""] = buildBatch(digestsOf(5)).places;
    expect(() => bodyAtPlace(digest, made(place))).toThrow("statement: its place in a batch is none");
  });

  test("stands behind the statement in one header", () => {
    expect(splitPlace(withPlace("c3RhdGVtZW50", "AAAAAg"))).toEqual({ statement: "c3RhdGVtZW50", place: "AAAAAg" });
    expect(splitPlace("c3RhdGVtZW50")).toEqual({ statement: "c3RhdGVtZW50", place: undefined });
  });
});

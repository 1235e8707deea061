import { describe, expect, test } from "@jest/globals";
import { counted, renderBytes, renderMs, renderRate, renderShare } from "../../console/format/amounts.js";
import { renderCode, renderVerdict, toneOfCode } from "../../console/format/codes.js";
import { markOf } from "../../console/format/mark.js";
import { clip, shellWord, shortId, shortIdentity, shortMethod } from "../../console/format/names.js";
import { renderAgo, renderTime } from "../../console/format/times.js";

describe("amounts", () => {
  test("rates", () => {
    expect([0, 0.04, 0.5, 9.94, 12.4, 998, 1234, 20_000].map(renderRate)).toEqual([
      "0/s",
      "0/s",
      "0.5/s",
      "9.9/s",
      "12/s",
      "998/s",
      "1.2k/s",
      "20k/s",
    ]);
  });

  test("100 % and 0 % are said of all and of nothing alone", () => {
    expect([1, 0.999999, 0.9912, 0.5, 0.0012, 0.0000001, 0].map(renderShare)).toEqual([
      "100 %",
      "99.99 %",
      "99.12 %",
      "50 %",
      "0.12 %",
      "0.01 %",
      "0 %",
    ]);
  });

  test("times and sizes", () => {
    expect([0, 0.42, 12, 1200, 90_000, 7_200_000, 400_000_000, -50].map(renderMs)).toEqual([
      "0 ms",
      "0.4 ms",
      "12 ms",
      "1.2 s",
      "2 min",
      "2 h",
      "5 d",
      "-50 ms",
    ]);
    expect([12, 2048, 3 * 1024 * 1024].map(renderBytes)).toEqual(["12 B", "2 KiB", "3 MiB"]);
  });

  test("numbers of things", () => {
    expect([counted(1, "proxy", "proxies"), counted(1200, "call")]).toEqual(["1 proxy", "1,200 calls"]);
  });
});

test("how long ago, and what never was", () => {
  expect([10_000, 9_500, 5_000, 13_000, 0, Number.MAX_SAFE_INTEGER].map((ms) => renderAgo(ms, 10_000))).toEqual([
    "just now",
    "just now",
    "5 s ago",
    "in 3 s",
    "never",
    "never",
  ]);
  expect(renderTime(Number.MAX_SAFE_INTEGER)).toBe("never");
});

describe("names", () => {
  test("identities without what all of a mesh have in common", () => {
    expect(
      [
        "spiffe://shop/service/payments",
        "spiffe://shop/operator/ada",
        "spiffe://shop/control-plane/first",
        "payments",
        "*",
        "spiffe://shop/other/<b>",
      ].map(shortIdentity),
    ).toEqual(["payments", "ada", "control-plane/first", "payments", "*", "spiffe://shop/other/<b>"]);
  });

  test("methods, ids, long texts", () => {
    expect([shortMethod("shop.Payments/Charge"), shortMethod("*"), shortMethod("shop.Payments/")]).toEqual([
      "Charge",
      "*",
      "shop.Payments/",
    ]);
    expect([shortId("0123456789ab"), shortId("01234")]).toEqual(["0123456789…", "01234"]);
    expect(clip("abcdef", 4)).toBe("abc…");
  });

  test("a word for a shell cannot become two, or a command", () => {
    expect([shellWord("shop.Payments/*"), shellWord("a b"), shellWord("$(rm)'"), shellWord("")]).toEqual([
      "'shop.Payments/*'",
      "'a b'",
      "'$(rm)'\\'''",
      "''",
    ]);
  });
});

test("codes and verdicts", () => {
  expect([renderCode(0), renderCode(16), renderCode(99)]).toEqual(["OK", "UNAUTHENTICATED", "code 99"]);
  expect([toneOfCode(0), toneOfCode(7), toneOfCode(14)]).toEqual(["ok", "bad", "warn"]);
  expect([renderVerdict("VERDICT_DENIED").word, renderVerdict("VERDICT_NEW").word]).toEqual(["denied", "unknown"]);
});

describe("a mason's mark", () => {
  const digests = Array.from({ length: 500 }, (_, index) => (index * 2654435761).toString(16).padStart(16, "0"));

  test("is the same for a digest, and another for another", () => {
    expect(markOf(digests[3] ?? "")).toBe(markOf(digests[3] ?? ""));
    expect(new Set(digests.map(markOf)).size).toBeGreaterThan(485);
  });

  test("is made of strokes inside its box, and of nothing for what is no digest", () => {
    const numbers = digests.flatMap((digest) => [...markOf(digest).matchAll(/[\d.]+/g)].map(Number));
    expect(Math.min(...numbers)).toBeGreaterThanOrEqual(4);
    expect(Math.max(...numbers)).toBeLessThanOrEqual(20);
    expect([markOf(""), markOf('"><script>'), markOf("abc")]).toEqual(["", "", ""]);
  });
});

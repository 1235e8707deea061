import { describe, expect, test } from "@jest/globals";
import { CallError, orNotFound } from "../../console/api/call-error.js";
import { faceOf, type Loaded, nothingYet, problemOf, step } from "../../console/state/loaded.js";
import { parsePlace, renderPlace } from "../../console/state/place.js";
import { keepTheme, nextTheme, parseTheme, readTheme } from "../../console/state/theme.js";

describe("what is loaded", () => {
  const isEmpty = (value: readonly number[]): boolean => value.length === 0;
  const failed = { kind: "failed", problem: { code: "unavailable", message: "no answer" } } as const;
  const arrived = (value: readonly number[]) => ({ kind: "arrived", value, nowMs: 5 }) as const;
  const start: Loaded<readonly number[]> = nothingYet;

  test("shows the face that fits", () => {
    expect(faceOf(start, isEmpty)).toBe("loading");
    expect(faceOf(step(start, failed), isEmpty)).toBe("failed");
    expect(faceOf(step(start, arrived([])), isEmpty)).toBe("empty");
    expect(faceOf(step(start, arrived([1])), isEmpty)).toBe("shown");
  });

  test("a failure keeps the value, and the next value ends the failure", () => {
    const stale = step(step(start, arrived([1])), failed);
    expect([faceOf(stale, isEmpty), stale.value]).toEqual(["stale", [1]]);
    expect(faceOf(step(stale, arrived([2])), isEmpty)).toBe("shown");
  });

  test("another question forgets the answer to the one before", () => {
    expect(step(step(start, arrived([1])), { kind: "asked-else" })).toEqual(nothingYet);
  });

  test("a problem has the code of its error", () => {
    expect(problemOf(Object.assign(new Error("no"), { code: "denied" }))).toEqual({ code: "denied", message: "no" });
    expect(problemOf("odd")).toEqual({ code: "failed", message: "odd" });
  });
});

describe("a place", () => {
  test("is read as it is written", () => {
    for (const item of ["", "7", "a/b c?#%"]) {
      const place = { page: "proxies", item, filters: { q: "a&b=c", behind: "1" } } as const;
      expect(parsePlace(renderPlace(place))).toEqual(place);
    }
  });

  test("empty filters are left out", () => {
    expect(renderPlace({ page: "proxies", filters: { q: "" } })).toBe("#/proxies");
  });

  test("what names no page is the first one, and a broken escape is text", () => {
    expect(parsePlace("#/nowhere/7?x=1")).toEqual(parsePlace(""));
    expect(parsePlace("#/proxies/%E0%A4%A").item).toBe("%E0%A4%A");
  });

  test("has a bound on its filters", () => {
    const many = Array.from({ length: 500 }, (_, index) => `f${index}=1`).join("&");
    expect(Object.keys(parsePlace(`#/proxies?${many}`).filters)).toHaveLength(32);
  });
});

describe("the theme", () => {
  test("goes round, and unknown words are the system's", () => {
    expect(["system", "light", "dark"].map((theme) => nextTheme(parseTheme(theme)))).toEqual([
      "light",
      "dark",
      "system",
    ]);
    expect(parseTheme("neon")).toBe("system");
  });

  test("works in a browser that keeps nothing", () => {
    const closed = {
      getItem: (): string => {
        throw new Error("denied");
      },
      setItem: (): void => {
        throw new Error("full");
      },
    };
    keepTheme(closed, "dark");
    expect(readTheme(closed)).toBe("system");
  });
});

test("what is not there may be shown as nothing, what could not be read may not", async () => {
  const fails = (code: string) => orNotFound(Promise.reject(new CallError(code, "no")), "nothing");
  expect(await fails("not_found")).toBe("nothing");
  expect(await orNotFound(Promise.resolve("policy"), "nothing")).toBe("policy");
  for (const code of ["unavailable", "limit", "disconnected"])
    await expect(fails(code)).rejects.toMatchObject({ code });
});

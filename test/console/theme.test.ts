/** The colours of the console: what is written can be read (WCAG 2.2, level AA), by day and by night. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "@jest/globals";

const tokens = readFileSync("console/theme/tokens.css", "utf8");

/** The colours of the block that begins with a selector. */
function coloursOf(selector: string): ReadonlyMap<string, string> {
  const block = tokens.slice(tokens.indexOf(selector)).split("}", 1)[0] ?? "";
  return new Map([...block.matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map(([, name = "", value = ""]) => [name, value]));
}

function luminance(colour: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5]
    .map((place) => Number.parseInt(colour.slice(place, place + 2), 16) / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: string, b: string): number {
  const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

const grounds = ["ground", "surface", "sunken", "raised"];
const texts = [
  ...["ink", "ink-2", "ink-3", "accent", "accent-strong"].flatMap((ink) =>
    grounds.map((ground) => [ink, ground] as const),
  ),
  ...["ok", "warn", "bad", "note"].flatMap((tone) =>
    [tone, "ink", "ink-2"].map((ink) => [ink, `${tone}-soft`] as const),
  ),
  ...["ok", "warn", "bad"].map((tone) => [tone, "surface"] as const),
  ["accent-strong", "accent-soft"] as const,
  ["ink-3", "accent-soft"] as const,
  ["on-accent", "accent"] as const,
  ["on-accent", "accent-strong"] as const,
];

describe.each([
  ["by day", ':root[data-theme="light"]'],
  ["by night", ':root[data-theme="dark"]'],
])("%s", (_, selector) => {
  const colours = coloursOf(selector);
  const between = (a: string, b: string): number => contrast(colours.get(a) ?? "#000000", colours.get(b) ?? "#000000");

  test("text stands out from its ground, 4.5 to 1", () => {
    expect(texts.filter(([ink, ground]) => between(ink, ground) < 4.5)).toEqual([]);
  });

  test("borders of fields and lines that mean something stand out, 3 to 1", () => {
    const lines = ["line-strong", "accent", "ok", "warn", "bad", "note"];
    expect(lines.filter((line) => between(line, "surface") < 3)).toEqual([]);
  });
});

test("the system's night and the chosen one are the same", () => {
  const chosen = coloursOf(':root[data-theme="dark"]');
  expect(coloursOf(':root:not([data-theme="light"])')).toEqual(chosen);
  expect(chosen.size).toBeGreaterThan(20);
});

/** Renders what commands print: tables for people, JSON for programs. */

export type OutputFormat = "table" | "json";

/** Renders rows under headings, with columns two spaces apart and without trailing spaces. Cells are made visible. */
export function renderTable(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [headings, ...rows].map((line) => line.map(visible));
  const widths = headings.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? "").length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** Renders names and values, one pair on a line; a repeated name is printed once. Both are made visible. */
export function renderPairs(pairs: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(0, ...pairs.map(([name]) => name.length));
  return pairs
    .map(([name, value], index) => {
      const shown = pairs[index - 1]?.[0] === name ? "" : name;
      return `${visible(shown).padEnd(width)}  ${visible(value)}`.trimEnd();
    })
    .join("\n");
}

/** Renders JSON for programs, with an indent of two spaces and without anything that a terminal would obey. */
export function renderJson(value: unknown): string {
  return escapeInJson(JSON.stringify(value, null, 2));
}

/** Renders a time as ISO 8601 in UTC; "-" for 0. */
export function renderTime(timeMs: number): string {
  return timeMs === 0 ? "-" : new Date(timeMs).toISOString();
}

/** Returns the first characters of a digest, which are enough for people. */
export function shortDigest(digest: string): string {
  return digest.slice(0, 12);
}

/** Renders a count with its noun: "1 proxy", "2 proxies". */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

export function yesOrNo(value: boolean): string {
  return value ? "yes" : "no";
}

const hidden = /[\p{C}\p{Zl}\p{Zp}]/gu;
const escaped = (character: string): string => {
  const code = character.codePointAt(0) ?? 0;
  return code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, "0")}`;
};

/** Renders text from others on one line: characters that a terminal would obey or not show become escapes. */
export function visible(text: string): string {
  return text.replace(hidden, escaped);
}

/** Renders text of several lines: in each of them, characters that a terminal would obey or not show become escapes. */
export function visibleLines(text: string): string {
  return text.split("\n").map(visible).join("\n");
}

/** Renders JSON on one line, without anything that a terminal would obey. */
export function jsonLine(value: unknown): string {
  return escapeInJson(JSON.stringify(value));
}

/** JSON escapes the characters below a space itself. */
function escapeInJson(json: string): string {
  return json.replace(/[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/gu, (character) =>
    [...character.split("")].map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join(""),
  );
}

/** Renders text from others on one line: control characters become spaces, and what else is not shown, escapes. */
export function plain(text: string): string {
  return visible(text.replace(/\p{Cc}+/gu, " ").trim());
}

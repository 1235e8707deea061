/** What commands print: a table for people, JSON for programs. */

export type OutputFormat = "table" | "json";

/** Rows under headings, columns two spaces apart, without trailing spaces. */
export function renderTable(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [headings, ...rows];
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

/** Names and values, one pair a line; a repeated name stands once. */
export function renderPairs(pairs: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(0, ...pairs.map(([name]) => name.length));
  return pairs
    .map(([name, value], index) => {
      const shown = pairs[index - 1]?.[0] === name ? "" : name;
      return `${shown.padEnd(width)}  ${value}`.trimEnd();
    })
    .join("\n");
}

/** JSON as programs get it: two spaces of indent. */
export function renderJson(value: unknown): string {
  return JSON.stringify(value, null, 2);
}

/** A point in time as ISO 8601 in UTC; "-" for none. */
export function renderTime(timeMs: number): string {
  return timeMs === 0 ? "-" : new Date(timeMs).toISOString();
}

/** The beginning of a digest, enough for people. */
export function shortDigest(digest: string): string {
  return digest.slice(0, 12);
}

/** "1 proxy", "2 proxies". */
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

/** Text that others chose, on one line: what a terminal would obey or not show is written as an escape. */
export function visible(text: string): string {
  return text.replace(hidden, escaped);
}

/** JSON on one line, with nothing in it that a terminal would obey. */
export function jsonLine(value: unknown): string {
  return JSON.stringify(value).replace(/[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/gu, (character) =>
    [...character.split("")].map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join(""),
  );
}

/** Text from elsewhere on one line, without control characters that a terminal would obey. */
export function plain(text: string): string {
  return text.replace(/\p{Cc}+/gu, " ").trim();
}

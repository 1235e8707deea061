/** Finds the position in a YAML file of a character of a text, in whichever style the text is written. */

const escapeDigits: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

/**
 * Returns the offset in `source` of the character at `offset` of `value`, a scalar that starts at `start` (at its quote
 * or block header, if it has one). Handles quotes, escapes, folded lines and the indentation of blocks.
 */
export function scalarOffset(source: string, start: number, value: string, offset: number): number {
  const style = source[start] ?? "";
  let at = contentStart(source, start, style);
  for (let index = 0; ; index++) {
    at = skipToCharacter(source, at, value[index] ?? "", style);
    if (index >= offset || at >= source.length) return Math.min(at, source.length);
    const length = writtenLength(source, at, style);
    if (length === 10) index += (source.codePointAt(at) ?? 0) > 0xffff ? 1 : 0;
    at += length;
  }
}

function contentStart(source: string, start: number, style: string): number {
  if (style === '"' || style === "'") return start + 1;
  if (style !== "|" && style !== ">") return start;
  const lineEnd = source.indexOf("\n", start);
  return lineEnd < 0 ? source.length : lineEnd + 1;
}

/** Skips indentation and the ends of folded lines, which are not part of the text or appear differently in it. */
function skipToCharacter(source: string, from: number, character: string, style: string): number {
  let at = from;
  if (style === '"') while (source[at] === "\\" && /[\r\n]/.test(source[at + 1] ?? "")) at = skipBlank(source, at + 1);
  if (source[at] === character || (style === '"' && source[at] === "\\")) return at;
  return /\s/.test(source[at] ?? "") && !/\s/.test(character) ? skipBlank(source, at) : at;
}

function skipBlank(source: string, from: number): number {
  let at = from;
  while (/\s/.test(source[at] ?? "")) at += 1;
  return at;
}

/** Returns how many characters of the file stand for one character of the text. */
function writtenLength(source: string, at: number, style: string): number {
  if (style === '"' && source[at] === "\\") return 2 + (escapeDigits[source[at + 1] ?? ""] ?? 0);
  if (style === "'" && source.startsWith("''", at)) return 2;
  return 1;
}

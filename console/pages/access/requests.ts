/** Turns what people type about a call into requests of the admin API. */

export interface TypedHeader {
  readonly name: string;
  readonly value: string;
}

/** Reads headers, one "name: value" a line; returns the first line that is none. */
export function parseHeaders(text: string): { readonly headers: readonly TypedHeader[]; readonly problem: string } {
  const headers: TypedHeader[] = [];
  for (const line of text.split("\n")) {
    if (line.trim() === "") continue;
    const [, name, value] = /^\s*([A-Za-z0-9._-]+)\s*:\s*(.*?)\s*$/.exec(line) ?? [];
    if (name === undefined || value === undefined)
      return { headers: [], problem: `“${line.slice(0, 80)}” is no header: write name: value` };
    headers.push({ name: name.toLowerCase(), value });
  }
  return { headers, problem: "" };
}

/** Returns what is wrong with the claims. Empty: nothing is wrong, or there are no claims. */
export function checkClaims(text: string): string {
  if (text.trim() === "") return "";
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? ""
      : 'Claims are a JSON object: { "sub": "ada" }';
  } catch {
    return 'This is no JSON. Claims are an object: { "sub": "ada" }';
  }
}

/** Returns a decision's id as 24 hexadecimal digits. JSON has it in base64. Any other text is returned as it is. */
export function decisionId(text: string): string {
  const trimmed = text.trim();
  if (/^[0-9a-fA-F]{24}$/.test(trimmed)) return trimmed.toLowerCase();
  if (!/^[A-Za-z0-9+/_-]{16}$/.test(trimmed)) return trimmed;
  const bytes = atob(trimmed.replaceAll("-", "+").replaceAll("_", "/"));
  return [...bytes].map((char) => char.charCodeAt(0).toString(16).padStart(2, "0")).join("");
}

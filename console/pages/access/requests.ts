/** What people type about a call, as the admin API takes it. */

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

/** Says what is wrong with claims; empty: nothing is, or there are none. */
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

/** The 24 hexadecimal digits of a decision's id, which JSON has in base64; what is neither comes back as it is. */
export function decisionId(text: string): string {
  const trimmed = text.trim();
  if (/^[0-9a-fA-F]{24}$/.test(trimmed)) return trimmed.toLowerCase();
  if (!/^[A-Za-z0-9+/_-]{16}$/.test(trimmed)) return trimmed;
  const bytes = atob(trimmed.replaceAll("-", "+").replaceAll("_", "/"));
  return [...bytes].map((char) => char.charCodeAt(0).toString(16).padStart(2, "0")).join("");
}

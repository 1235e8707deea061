import type { Header } from "./header.js";

/**
 * Headers that pages may read without permission (Fetch, "CORS-safelisted response-header name"), and those of caches.
 */
const readable = new Set(
  "cache-control content-language content-length content-type expires last-modified pragma vary".split(" "),
);
const varies: Header = ["vary", "Origin"];

/** Returns the fields that let a page of `origin` read an answer with `headers`. */
export function corsFields(origin: string | undefined, headers: readonly Header[]): readonly Header[] {
  if (origin === undefined) return [];
  const names = new Set(headers.map(([name]) => name));
  const exposed = [...names].filter((name) => !readable.has(name) && !name.startsWith("access-control-"));
  return [
    ["access-control-allow-origin", origin],
    ...(exposed.length > 0 ? [["access-control-expose-headers", exposed.join(", ")] as const] : []),
    ...(names.has("vary") ? [] : [varies]),
  ];
}

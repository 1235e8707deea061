/** Header fields between our form (pairs, in order) and that of node:http2. */
import type { OutgoingHttpHeaders, ServerStreamResponseOptions } from "node:http2";
import { isReservedHeader } from "../../../core/wire/headers.js";
import type { Field } from "../request-head.js";

/** node:http2 refuses two values for these; gRPC metadata may be joined by a comma instead. */
const single =
  /^(access-control-(max-age|request-method|allow-credentials)|age|authorization|content-(encoding|language|length|location|md5|range|type)|date|dnt|etag|expires|from|host|if-(match|modified-since|none-match|range|unmodified-since)|last-modified|location|max-forwards|proxy-authorization|range|referer|retry-after|tk|upgrade-insecure-requests|user-agent|x-content-type-options)$/;

/** No `date` is added: a proxy passes on what it got. (The option is missing from the type definitions.) */
export const withTrailers: ServerStreamResponseOptions & { sendDate: false } = {
  waitForTrailers: true,
  sendDate: false,
};
export const withoutBody: ServerStreamResponseOptions & { sendDate: false } = { endStream: true, sendDate: false };

/** Pairs from what node:http2 gives: name, value, name, value, … Pseudo-headers are left out. */
export function fieldsFromRaw(raw: readonly string[]): Field[] {
  const fields: Field[] = [];
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index] ?? "";
    if (!name.startsWith(":")) fields.push([name, raw[index + 1] ?? ""]);
  }
  return fields;
}

/** What node:http2 sends; repeated names stay repeated, in order. */
export function fieldsToHeaders(
  fields: readonly Field[],
  pseudo: Readonly<Record<string, string | number>>,
): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = Object.assign(Object.create(null), pseudo);
  for (const [name, value] of fields) {
    const before = headers[name];
    if (before === undefined) headers[name] = value;
    else if (single.test(name)) headers[name] = `${before}, ${value}`;
    else if (Array.isArray(before)) before.push(value);
    else headers[name] = [String(before), value];
  }
  return headers;
}

/** Never sent on in a response: they belong to one connection, or to a proxy. `keep` names reserved ones that pass. */
export function responseFields(fields: readonly Field[], keep: ReadonlySet<string>): Field[] {
  return fields.filter(([name]) => !hopByHop.has(name) && (!isReservedHeader(name) || keep.has(name)));
}

/** With what node:http2 takes from an upstream but refuses to send. */
const hopByHop = new Set([
  "connection",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
]);

/** Renders names for people. Names contain what somebody chose, so they are shown as text and never as markup. */

/**
 * Returns "payments" for "spiffe://shop.example/service/payments". A text that is no SPIFFE ID is returned as it is.
 */
export function shortIdentity(id: string): string {
  const [, kind, name] = /^spiffe:\/\/[^/]+\/(service|operator|control-plane|gateway)\/(.+)$/.exec(id) ?? [];
  if (kind === undefined || name === undefined) return id;
  return kind === "service" || kind === "operator" ? name : `${kind}/${name}`;
}

/** Returns "Charge" for "shop.Payments/Charge". */
export function shortMethod(method: string): string {
  return method.slice(method.lastIndexOf("/") + 1) || method;
}

/** Returns the first characters of a digest or an id. */
export const shortId = (id: string, length = 10): string => (id.length > length + 1 ? `${id.slice(0, length)}…` : id);

/** Cuts a text, so that a page stays readable whatever somebody wrote. */
export function clip(text: string, lengthMax: number): string {
  return text.length <= lengthMax ? text : `${text.slice(0, lengthMax - 1)}…`;
}

/** Returns a word for a shell, quoted unless it is plain. */
export function shellWord(word: string): string {
  return /^[A-Za-z0-9_./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

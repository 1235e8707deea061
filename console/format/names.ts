/** Names as people read them. What stands in them is what somebody chose: it is shown as text and never as markup. */

/** "payments" of "spiffe://shop.example/service/payments"; what is no SPIFFE ID stays as it is. */
export function shortIdentity(id: string): string {
  const [, kind, name] = /^spiffe:\/\/[^/]+\/(service|operator|control-plane|gateway)\/(.+)$/.exec(id) ?? [];
  if (kind === undefined || name === undefined) return id;
  return kind === "service" || kind === "operator" ? name : `${kind}/${name}`;
}

/** "Charge" of "shop.Payments/Charge". */
export function shortMethod(method: string): string {
  return method.slice(method.lastIndexOf("/") + 1) || method;
}

/** The first characters of a digest or an id. */
export const shortId = (id: string, length = 10): string => (id.length > length + 1 ? `${id.slice(0, length)}…` : id);

/** Cuts a text so that a page stays readable whatever somebody wrote. */
export function clip(text: string, lengthMax: number): string {
  return text.length <= lengthMax ? text : `${text.slice(0, lengthMax - 1)}…`;
}

/** A word for a shell: quoted unless it is plain. */
export function shellWord(word: string): string {
  return /^[A-Za-z0-9_./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

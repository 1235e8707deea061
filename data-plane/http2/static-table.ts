import { fieldName, nameText, staticNameMax } from "./field-names.js";

/** The number of entries in the HPACK static table (RFC 7541, appendix A). */
export const staticEntries = 61;

const values = new Map<number, string>([
  [2, "GET"],
  [3, "POST"],
  [4, "/"],
  [5, "/index.html"],
  [6, "http"],
  [7, "https"],
  [8, "200"],
  [9, "204"],
  [10, "206"],
  [11, "304"],
  [12, "400"],
  [13, "404"],
  [14, "500"],
  [16, "gzip, deflate"],
]);

/** The id of each static entry's name: its own index, or that of the first entry with the same name. */
export const staticName = new Uint8Array(staticEntries + 1);
for (let index = 1; index <= staticNameMax; index++) {
  let id = index;
  while (nameText(id) === "") id--;
  staticName[index] = id;
}

/** The values of all static entries, one after another. Every field block begins with a copy. */
export const staticValues = new Uint8Array(Buffer.from([...values.values()].join(""), "latin1"));
export const staticValueStart = new Uint16Array(staticEntries + 1);
export const staticValueLength = new Uint8Array(staticEntries + 1);
let place = 0;
for (const [index, value] of values) {
  staticValueStart[index] = place;
  staticValueLength[index] = value.length;
  place += value.length;
}

/** Returns the index of the static entry with this name and value, or 0. */
export function findStatic(nameId: number, bytes: Uint8Array, start: number, length: number): number {
  let index = nameId;
  let last: number;
  if (nameId === fieldName.status) last = 14;
  else if (nameId === fieldName.acceptEncoding) last = 16;
  else if (nameId === fieldName.method || nameId === fieldName.path || nameId === fieldName.scheme) last = nameId + 1;
  else return 0;
  for (; index <= last; index++) {
    if (staticValueLength[index] !== length) continue;
    const from = staticValueStart[index] as number;
    let same = 0;
    while (same < length && staticValues[from + same] === bytes[start + same]) same++;
    if (same === length) return index;
  }
  return 0;
}

/** A label of a proxy. */
export interface Label {
  readonly key: string;
  readonly value: string;
}

/** Regular expressions for a label's key and value, for the JSON Schema that editors use. */
export const labelKeyPattern = "^[A-Za-z0-9._/-]{1,63}$";
export const labelValuePattern = "^[A-Za-z0-9._-]{0,63}$";

const keyGrammar = new RegExp(labelKeyPattern);
const valueGrammar = new RegExp(labelValuePattern);

export function isLabelKey(text: string): boolean {
  return keyGrammar.test(text);
}

/** Returns whether `text` may be the value of a label; it may be empty. */
export function isLabelValue(text: string): boolean {
  return valueGrammar.test(text);
}

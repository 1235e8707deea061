/** A label of a proxy. */
export interface Label {
  readonly key: string;
  readonly value: string;
}

/** What a label's key and value look like, for editors. */
export const labelKeyPattern = "^[A-Za-z0-9._/-]{1,63}$";
export const labelValuePattern = "^[A-Za-z0-9._-]{0,63}$";

const keyGrammar = new RegExp(labelKeyPattern);
const valueGrammar = new RegExp(labelValuePattern);

export function isLabelKey(text: string): boolean {
  return keyGrammar.test(text);
}

/** May be empty. */
export function isLabelValue(text: string): boolean {
  return valueGrammar.test(text);
}

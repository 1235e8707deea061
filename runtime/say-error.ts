/** Renders why a command ends: one line, or a line for each bad setting. */

/** Each line of `message` under the program's name. */
export function renderError(message: string): string {
  return message
    .split("\n")
    .map((line) => `ashlar: ${line}\n`)
    .join("");
}

/** Renders commander's message about wrong use in the same form. */
export function renderUsageError(text: string): string {
  return text.replace(/^error: /, "ashlar: ");
}

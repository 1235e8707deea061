/** Renders why a command ends: one line, or one line for each invalid setting. */

/** Returns each line of `message` with the program's name in front. */
export function renderError(message: string): string {
  return message
    .split("\n")
    .map((line) => `ashlar: ${line}\n`)
    .join("");
}

/** Renders commander's message about wrong use in the same form. */
export function renderUsageError(text: string): string {
  return text.replace(/^error: /, "ashlar: ").replace("command-argument value ", "");
}

/** Shows progress on stderr. */
import { visible } from "./output.js";

/** On a terminal each text replaces the one before; elsewhere a text is printed when it has changed. */
export function createProgress(deps: {
  /** The width of the terminal; undefined: there is no terminal. */
  readonly terminalColumns?: number | undefined;
  writeError(text: string): void;
}): (text: string) => void {
  let shown = "";
  let lines = 0;
  return (text) => {
    if (text === shown) return;
    shown = text;
    const { terminalColumns } = deps;
    // a line that the terminal wraps could not be replaced as one line
    const now = text
      .split("\n")
      .map(visible)
      .map((line) => (terminalColumns === undefined ? line : line.slice(0, terminalColumns - 1)));
    const back = terminalColumns !== undefined && lines > 0 ? `\x1b[${lines}A\x1b[J` : "";
    lines = now.length;
    deps.writeError(`${back}${now.join("\n")}\n`);
  };
}

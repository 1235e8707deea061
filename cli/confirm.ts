/** Asks a question at the terminal. */
import { createInterface } from "node:readline";

/** Returns true only for "y" or "yes"; Ctrl-C, Ctrl-D and everything else count as no. */
export function askAtTerminal(
  question: string,
  { input, output }: { readonly input: NodeJS.ReadableStream; readonly output: NodeJS.WritableStream },
): Promise<boolean> {
  return new Promise((resolve) => {
    const lines = createInterface({ input, output, terminal: true });
    lines.once("SIGINT", () => lines.close());
    lines.once("close", () => resolve(false)); // the first answer counts
    lines.question(question, (answer) => {
      resolve(/^\s*y(es)?\s*$/i.test(answer));
      lines.close();
    });
  });
}

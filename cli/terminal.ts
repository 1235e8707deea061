/**
 * The terminal of a command that runs until the user leaves: its width, its keys, and the former content of the screen.
 */

/** A terminal that is open. */
export interface Terminal {
  readonly columns: number;
  readonly rows: number;
  /** Whether text may have colours. */
  readonly colours: boolean;
  /** Resolves when the user leaves: by q, Ctrl-C, Ctrl-D, or a signal to stop. */
  readonly left: Promise<void>;
  /** Calls `listener` when the terminal has another size. */
  onResize(listener: () => void): void;
  /** Shows `lines` in place of the lines before, as many as fit. From then on the command uses the whole screen. */
  draw(lines: readonly string[]): void;
  /** Restores the screen and the keys. */
  close(): void;
}

export interface KeyInput {
  setRawMode(on: boolean): unknown;
  on(event: "data", listener: (keys: Buffer) => void): unknown;
  off(event: "data", listener: (keys: Buffer) => void): unknown;
  resume(): unknown;
  pause(): unknown;
}

export interface ScreenOutput {
  readonly columns: number;
  readonly rows: number;
  on(event: "resize", listener: () => void): unknown;
  off(event: "resize", listener: () => void): unknown;
  write(text: string): unknown;
}

const enter = "\x1b[?1049h\x1b[?25l";
const leave = "\x1b[?25h\x1b[?1049l";
/** The keys q, Q, Ctrl-C and Ctrl-D; raw mode delivers all of them as keys. */
const leaving = ["q", "Q", "\x03", "\x04"] as const;
const signals = ["SIGTERM", "SIGHUP", "SIGINT"] as const;

export function openTerminal(input: KeyInput, output: ScreenOutput, colours: boolean): Terminal {
  let isDrawn = false;
  let end = (): void => {};
  const left = new Promise<void>((resolve) => {
    end = resolve;
  });
  const onKeys = (keys: Buffer): void => {
    const typed = keys.toString("latin1");
    if (leaving.some((key) => typed.includes(key))) end();
  };
  const listeners: (() => void)[] = [];
  input.setRawMode(true);
  input.on("data", onKeys);
  input.resume();
  for (const signal of signals) process.once(signal, end);
  return {
    get columns() {
      return output.columns;
    },
    get rows() {
      return output.rows;
    },
    colours,
    left,
    onResize: (listener) => {
      output.on("resize", listener);
      listeners.push(listener);
    },
    draw: (lines) => {
      const shown = lines.slice(0, Math.max(1, output.rows - 1));
      output.write(`${isDrawn ? "" : enter}\x1b[H${shown.map((line) => `${line}\x1b[K`).join("\r\n")}\x1b[J`);
      isDrawn = true;
    },
    close: () => {
      for (const listener of listeners) output.off("resize", listener);
      for (const signal of signals) process.off(signal, end);
      input.off("data", onKeys);
      input.setRawMode(false);
      input.pause();
      if (isDrawn) output.write(leave);
    },
  };
}

export type Colour = "red" | "yellow" | "dim" | "bold";
const codes = { red: 31, yellow: 33, dim: 2, bold: 1 } as const satisfies Record<Colour, number>;

/** Returns a function that colours text, or one that does not. */
export function paint(colours: boolean): (text: string, colour: Colour | undefined) => string {
  return (text, colour) => (colours && colour !== undefined ? `\x1b[${codes[colour]}m${text}\x1b[0m` : text);
}

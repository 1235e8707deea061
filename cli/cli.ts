/** What commands receive: output, the context and the admin client. */
import type { Command } from "commander";
import type { Clock } from "../runtime/clock.js";
import type { AdminClient } from "./client.js";
import type { AdminContext } from "./context.js";
import { type OutputFormat, renderJson, visibleLines } from "./output.js";
import type { Terminal } from "./terminal.js";

export interface Cli {
  readonly clock: Clock;
  /** Returns everything on stdin. */
  readStdin(): Promise<string>;
  /** Writes a line to stdout. */
  print(text: string): void;
  /** Writes a line to stderr. */
  note(text: string): void;
  /** Reads the operator's context. Fails with `invalid_argument` if there is none. */
  readContext(command: Command): AdminContext;
  /** Opens the terminal that stdout and stdin are. Returns undefined if they are none. It must be closed. */
  openTerminal(): Terminal | undefined;
  /**
   * Resolves when the command is told to stop (SIGINT, SIGTERM). From the first call on, these signals no longer end it
   * by themselves.
   */
  stopped(): Promise<void>;
  /** Asks at the terminal. Returns undefined if there is no terminal. */
  confirm(question: string): Promise<boolean | undefined>;
  /**
   * Shows progress on stderr: on a terminal it replaces the text before, elsewhere a line is printed when it changes.
   */
  progress(text: string): void;
  /** Runs `work` with a client for the context of `command`, and closes the client afterwards. */
  withAdmin<Result>(command: Command, work: (admin: AdminClient) => Promise<Result>): Promise<Result>;
}

/** Prints `value` for programs or `text`, of one or more lines, for people: nothing in it steers their terminal. */
export function show(cli: Cli, format: OutputFormat, value: unknown, text: string): void {
  cli.print(format === "json" ? renderJson(value) : visibleLines(text));
}

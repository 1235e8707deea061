/** Parses the command line of a bench. */
import { endWhenKilled } from "../test/conformance/when-killed.js";

/** The text that `--help` prints. Every `--name` in it is a flag, and there are no others. */
export interface Usage {
  /** The command with its flags and their defaults, then what it prints. */
  readonly text: string;
  readonly example: string;
  /** Called on SIGTERM, instead of ending the process. */
  readonly onTerminate?: () => void;
}

/** Prints one line and ends the process with exit code 2. */
function refuse(message: string): never {
  console.error(`${message}; see --help`);
  process.exit(2);
}

/**
 * Parses a bench's flags: `--name value...`. A flag without a value gets an empty list. `--help` prints the usage and
 * ends the process with 0; an unknown flag, or a value that belongs to none, ends it with 2. From then on a process
 * that is told to end first ends what it has started.
 */
export function readFlags(args: readonly string[], { text, example, onTerminate }: Usage): Map<string, string[]> {
  if (args.includes("--help") || args.includes("-h")) {
    console.log(`Usage: ${text}\n\nExample:\n  $ ${example}`);
    process.exit(0);
  }
  const known = new Set([...text.matchAll(/--([a-z][a-z-]*)/g)].map(([, name]) => name));
  const flags = new Map<string, string[]>();
  let values: string[] | undefined;
  for (const arg of args) {
    if (arg.startsWith("--")) {
      if (!known.has(arg.slice(2))) refuse(`unknown flag ${arg}`);
      values = [];
      flags.set(arg.slice(2), values);
    } else if (values === undefined) refuse(`${JSON.stringify(arg)} belongs to no flag`);
    else values.push(arg);
  }
  endWhenKilled(onTerminate);
  return flags;
}

export function numberFlag(flags: ReadonlyMap<string, readonly string[]>, name: string, fallback: number): number {
  const text = flags.get(name)?.[0];
  const value = text === undefined ? fallback : Number(text);
  if (Number.isNaN(value)) refuse(`--${name} must be a number, not ${JSON.stringify(text)}`);
  return value;
}

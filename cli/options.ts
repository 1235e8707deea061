/** Options that several commands share, and parsers that say what they expect. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { expectedDuration, parseOptionMs } from "../core/duration.js";
import { gatewayNameIn, isLabel } from "../core/identity.js";
import { parseSizeBytes } from "../core/size.js";

const durationMsMax = 7 * 86_400_000;

/** Parses a duration from 1 ms to 7 days to milliseconds. */
export function parseDuration(text: string): number {
  const ms = parseOptionMs(text);
  if (ms === undefined || ms < 1 || ms > durationMsMax) {
    throw new InvalidArgumentError(`Expected ${expectedDuration("at most 7d")}.`);
  }
  return ms;
}

/** Parses a revision or epoch: a whole number from 1. */
export function parseNumber(text: string): number {
  if (!/^[1-9]\d{0,14}$/.test(text)) throw new InvalidArgumentError("Expected a whole number from 1.");
  return Number(text);
}

/** Parses "20GiB" or plain bytes, from 4 MiB, to bytes. */
export function parseSize(text: string): number {
  const bytes = parseSizeBytes(text, "B");
  if (bytes === undefined || bytes < 4 * 1024 * 1024)
    throw new InvalidArgumentError("Expected a size such as 20GiB, from 4MiB.");
  return bytes;
}

/** Parses the number of a log's head, which is 0 if the log is empty. */
export function parseParent(text: string): number {
  return text === "0" ? 0 : parseNumber(text);
}

/** Parses "90%" or "90". */
export function parsePercent(text: string): number {
  const percent = /^(\d{1,3})%?$/.exec(text)?.[1];
  const value = Number(percent);
  if (percent === undefined || value < 1 || value > 100) {
    throw new InvalidArgumentError("Expected a share from 1% to 100%.");
  }
  return value;
}

/** Parses a root hash: the SHA-256 of a mesh's root key. */
export function parseRootHash(text: string): string {
  if (!/^[0-9a-f]{64}$/.test(text))
    throw new InvalidArgumentError("Expected 64 digits of 0-9 and a-f, as in join.json.");
  return text;
}

/** Parses a service's name, or "gateway/NAME". */
export function parseWorkload(text: string): string {
  return gatewayNameIn(text) === undefined ? parseLabel(text) : text;
}

/** Parses the name of a service or a version. */
export function parseLabel(text: string): string {
  if (!isLabel(text)) throw new InvalidArgumentError('Expected 1 to 63 of a-z, 0-9 and "-", not at either end.');
  return text;
}

export function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

/** Returns the option -o table|json. */
export function outputOption(): Option {
  return new Option("-o, --output <format>", "what to print on stdout").choices(["table", "json"]).default("table");
}

export function timeoutOption(what: string): Option {
  return durationOption("--timeout <duration>", what, "30s");
}

/** Returns an option for a duration. Its default appears in the help as it would be written. */
export function durationOption(flags: string, what: string, byDefault: string): Option {
  return new Option(flags, what).argParser(parseDuration).default(parseDuration(byDefault), byDefault);
}

const formats = ["table", "json", "yaml"] as const;
export type PathOrFormat = { readonly format: (typeof formats)[number] } | { readonly path: string };

/**
 * Parses -o where it may also be a path. The name of a format always means the format; a file of that name is ./json.
 */
export function parsePathOrFormat(text: string): PathOrFormat {
  const format = formats.find((each) => each === text);
  if (text === "") throw new InvalidArgumentError("Expected a format or a path.");
  return format === undefined ? { path: text } : { format };
}

/**
 * Makes `command` and its subcommands refuse an option that is given twice with different values, because one of them
 * would be dropped silently. Options that collect values are exempt.
 */
export function refuseTwice(command: Command): void {
  for (const option of command.options) {
    if (option.variadic || gathers(option)) continue;
    let before: string | undefined;
    command.on(`option:${option.name()}`, (value: string | null) => {
      if (value === null) return; // a flag without a value
      if (before !== undefined && before !== value)
        command.error(`error: option '${option.flags}' is given twice, as '${before}' and as '${value}'`);
      before = value;
    });
  }
  for (const below of command.commands) refuseTwice(below);
}

/** Commander passes the previous value to parsers with two parameters, which collect values. */
const gathers = ({ parseArg }: Option): boolean => parseArg !== undefined && parseArg.length > 1;

/** Ends a command's help with an example. */
export function withExample(command: Command, ...lines: readonly string[]): Command {
  const heading = lines.length === 1 ? "Example" : "Examples";
  return command.addHelpText("after", `\n${heading}:\n${lines.map((line) => `  $ ${line}`).join("\n")}`);
}

import { writeSync } from "node:fs";
import { type Logger as Pino, pino } from "pino";
import { renderLogLine } from "./log-text.js";

/** Structured logging to stderr: a message for people and fields for programs. */
export interface Logger {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
  child(fields: Readonly<Record<string, unknown>>): Logger;
}

export const logLevels = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

/** "json": one object a line, for programs; "text": for people at a terminal. */
export const logFormats = ["text", "json"] as const;
export type LogFormat = (typeof logFormats)[number];

export interface LoggerOptions {
  readonly level: LogLevel;
  readonly name: string;
  readonly format: LogFormat;
}

const stderr = 2;

type Fields = Readonly<Record<string, unknown>>;
type Level = "debug" | "info" | "warn" | "error";

/** Fields that every line has. A field of the same name would appear twice in the JSON object, so it is renamed. */
const reserved: ReadonlySet<string> = new Set(["level", "time", "name", "msg"]);

/** Returns the fields of a line. A field of the call replaces that of the logger; "name" becomes "field_name". */
function fieldsOf(bound: Fields, fields: Fields | undefined): Fields {
  const all = { ...bound, ...fields };
  if (!Object.keys(all).some((key) => reserved.has(key))) return all;
  return Object.fromEntries(
    Object.entries(all).map(([key, value]) => [reserved.has(key) ? `field_${key}` : key, value]),
  );
}

/**
 * pino's child loggers are not used: they write bound fields beside those of a call, so that a key may appear twice.
 */
function wrap(to: Pino, bound: Fields = {}): Logger {
  const write = (level: Level, message: string, fields: Fields | undefined): void => {
    if (to.isLevelEnabled(level)) to[level](fieldsOf(bound, fields), message);
  };
  return {
    debug: (message, fields) => write("debug", message, fields),
    info: (message, fields) => write("info", message, fields),
    warn: (message, fields) => write("warn", message, fields),
    error: (message, fields) => write("error", message, fields),
    child: (fields) => wrap(to, { ...bound, ...fields }),
  };
}

/** Returns a logger that writes to stderr, because stdout is for what a command prints. */
export function createLogger({ level, name, format }: LoggerOptions): Logger {
  const json = pino.destination({ dest: stderr, sync: true });
  return createLoggerTo(format === "json" ? json : { write: writeText }, { level, name });
}

/** Returns a logger that writes each line as JSON to `sink`. */
export function createLoggerTo(
  sink: { write(line: string): void },
  { level, name }: Pick<LoggerOptions, "level" | "name">,
): Logger {
  return wrap(pino({ level, base: { name } }, sink));
}

function writeText(line: string): void {
  try {
    writeSync(stderr, renderLogLine(line));
  } catch {
    // if the terminal is gone or full, the line is lost and nothing else happens
  }
}

const nothing = (): void => {};
export const silentLogger: Logger = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  child: () => silentLogger,
};

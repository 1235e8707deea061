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

function wrap(to: Pino): Logger {
  return {
    debug: (message, fields) => to.debug(fields ?? {}, message),
    info: (message, fields) => to.info(fields ?? {}, message),
    warn: (message, fields) => to.warn(fields ?? {}, message),
    error: (message, fields) => to.error(fields ?? {}, message),
    child: (fields) => wrap(to.child(fields)),
  };
}

/** Lines on stderr, so that stdout stays for what a command prints. */
export function createLogger({ level, name, format }: LoggerOptions): Logger {
  const json = pino.destination({ dest: stderr, sync: true });
  return wrap(pino({ level, base: { name } }, format === "json" ? json : { write: writeText }));
}

function writeText(line: string): void {
  try {
    writeSync(stderr, renderLogLine(line));
  } catch {
    // a terminal that is gone or full loses a line and ends nothing
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

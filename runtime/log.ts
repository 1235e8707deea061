import { type Logger as Pino, pino } from "pino";

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

function wrap(to: Pino): Logger {
  return {
    debug: (message, fields) => to.debug(fields ?? {}, message),
    info: (message, fields) => to.info(fields ?? {}, message),
    warn: (message, fields) => to.warn(fields ?? {}, message),
    error: (message, fields) => to.error(fields ?? {}, message),
    child: (fields) => wrap(to.child(fields)),
  };
}

/** JSON lines on stderr, so that stdout stays for what a command prints. */
export function createLogger(options: { readonly level: LogLevel; readonly name: string }): Logger {
  return wrap(pino({ level: options.level, base: { name: options.name } }, pino.destination({ dest: 2, sync: true })));
}

const nothing = (): void => {};
export const silentLogger: Logger = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  child: () => silentLogger,
};

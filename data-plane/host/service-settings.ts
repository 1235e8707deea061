/**
 * The settings of one service in a process with several: its own, and those that it inherits from the process. Pure.
 */
import { join } from "node:path";
import { AshlarError, isAshlarError } from "../../core/errors.js";
import { renderNearest } from "../../core/snapshot/nearest.js";
import type { ConfigSources } from "../../runtime/config.js";
import { type ProxyConfig, parseProxyConfig } from "../config.js";

/** Settings that each service must have for itself. */
export const ownSettings = [
  "service",
  "token",
  "app",
  "agent",
  "inbound",
  "advertise",
  "outbound",
  "upstream",
  "label",
  "status",
  "data",
  "egress-key",
] as const;

/** Settings that a service inherits from the process unless it states its own. */
export const sharedSettings = [
  "workers",
  "join",
  "grace",
  "buffer-mib",
  "message-mib",
  "header-kib",
  "keepalive",
  "record-share",
  "otlp",
  "access-log",
  "egress-dns",
] as const;

/** Settings that only the process has, beside `--services` and `--config`. */
export const processSettings = ["warm", "log-level", "log-format"] as const;

export type SettingValue = string | number | boolean | readonly string[];

/** The settings of a service by their names, without the dashes. */
export type ServiceSettings = Readonly<Record<string, SettingValue>>;

/** Returns the folder in which the services of a process keep their data: DATA/services/NAME each. */
export function servicesFolder(dataDir: string): string {
  return join(dataDir, "services");
}

/** What services are started with beside their own settings. */
export interface HostSettings extends ConfigSources {
  /** The folder of the process, as an absolute path. */
  readonly dataDir: string;
}

/**
 * Parses the settings of a service. `place` begins each line about a problem: the file, or the command. Fails with
 * `invalid_argument`.
 */
export function parseServiceSettings(
  settings: ServiceSettings,
  host: HostSettings,
  place: string,
  cwd: string,
): ProxyConfig {
  const name = typeof settings.service === "string" ? settings.service : undefined;
  const where = name === undefined ? place : `${place}: ${name}`;
  const known: readonly string[] = [...ownSettings, ...sharedSettings];
  const unknown = Object.keys(settings).filter((key) => !known.includes(key));
  if (unknown.length > 0) {
    const lines = unknown.map((key) => {
      const isOfProcess = (processSettings as readonly string[]).includes(key);
      const why = isOfProcess
        ? "is given once, for the process"
        : `is no setting of a service${renderNearest(key, known)}`;
      return `${where}: ${JSON.stringify(key)} ${why}`;
    });
    throw new AshlarError("invalid_argument", lines.join("\n"));
  }
  if (settings.token === "-")
    throw new AshlarError("invalid_argument", `${where}: token: expected a file; standard input is for one service`);
  const { HOME, XDG_STATE_HOME } = host.env;
  const data = join(servicesFolder(host.dataDir), name ?? "unknown");
  const sources = {
    flags: camelKeys({ data, ...settings }),
    env: { HOME, XDG_STATE_HOME },
    file: sharedValues(host),
  };
  try {
    return parseProxyConfig(sources, cwd);
  } catch (error) {
    if (!isAshlarError(error, "invalid_argument")) throw error;
    const lines = error.message.split("\n").map((line) => `${where}: ${line}`);
    throw new AshlarError("invalid_argument", lines.join("\n"), { cause: error });
  }
}

/**
 * Returns the values that services inherit, like a settings file: flags take precedence over variables, and these over
 * the file.
 */
function sharedValues({ flags, env, file }: ConfigSources): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const name of [...sharedSettings, ...processSettings]) {
    const variable = env[`ASHLAR_${name.replaceAll("-", "_").toUpperCase()}`];
    const value = flags[camel(name)] ?? variable ?? file[name];
    if (value !== undefined) values[name] = value;
  }
  return values;
}

function camelKeys(settings: ServiceSettings): Record<string, unknown> {
  return Object.fromEntries(Object.entries(settings).map(([name, value]) => [camel(name), value]));
}

function camel(name: string): string {
  return name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/**
 * Returns the addresses that a service listens on, as people write them. Two services of a process cannot have the same
 * one.
 */
export function claimedAddresses({ inbound, outbound, agent, status, upstreams }: ProxyConfig): readonly string[] {
  const all = [inbound, outbound, status, ...upstreams.map(({ address }) => address)].map((address) => {
    if (address === undefined) return undefined;
    return "path" in address ? address.path : address.port === 0 ? undefined : `${address.host}:${address.port}`;
  });
  return [...all, agent].filter((address) => address !== undefined);
}

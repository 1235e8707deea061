/**
 * The settings of a process that runs proxies: for the service of its command line, for further ones, or for both.
 * Pure.
 */
import { AshlarError } from "../../core/errors.js";
import { ConfigReader, type ConfigSources, type HostPort } from "../../runtime/config.js";
import { type LogFormat, type LogLevel, logFormats, logLevels } from "../../runtime/log.js";
import { type ProxyConfig, parseProxyConfig, readDataDir, readWarm } from "../config.js";
import { type HostSettings, ownSettings, sharedSettings } from "./service-settings.js";

export interface HostConfig {
  /** The service of the command line; undefined: all services are in a file or are added later. */
  readonly primary: ProxyConfig | undefined;
  /** The path of the file with further services. */
  readonly servicesFile: string | undefined;
  /** The folder of the process: that of its first service, if the command line has one. */
  readonly dataDir: string;
  /** The address of --status for all services, if the command line names none of them. */
  readonly status: HostPort | undefined;
  /** Whether calls are carried in memory before the first service starts. */
  readonly warm: boolean;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat | undefined;
  /** The settings that further services inherit. */
  readonly settings: HostSettings;
}

/** Settings of a service that also mean something for the process. */
const ofProcessToo: ReadonlySet<string> = new Set(["data", "status"]);

/** Reads the settings; fails with `invalid_argument`, one line for each bad value. */
export function parseHostConfig(sources: ConfigSources, cwd: string): HostConfig {
  const read = new ConfigReader(sources);
  const servicesFile = read.text("services");
  if (read.text("service") !== undefined || servicesFile === undefined) {
    return { ...hostOf(parseProxyConfig(sources, cwd), sources), servicesFile };
  }
  const dataDir = readDataDir(read, "host", sources.env, cwd);
  const config: HostConfig = {
    primary: undefined,
    servicesFile,
    dataDir,
    status: read.hostPort("status"),
    warm: readWarm(read),
    logLevel: read.oneOf("log-level", logLevels) ?? "info",
    logFormat: read.oneOf("log-format", logFormats),
    settings: { ...sources, dataDir },
  };
  read.knows(...ownSettings, ...sharedSettings);
  refuseOwn(sources);
  read.throwIfInvalid();
  return config;
}

/** The settings of a process for one proxy or gateway. */
export function hostOf(primary: ProxyConfig, sources: ConfigSources): HostConfig {
  const { dataDir, warm, logLevel, logFormat } = primary;
  const settings = { ...sources, dataDir };
  return { primary, servicesFile: undefined, dataDir, status: undefined, warm, logLevel, logFormat, settings };
}

/** Refuses settings of a service without --service, because no service would have them. */
function refuseOwn({ flags, file }: ConfigSources): void {
  const given = ownSettings.filter((name) => !ofProcessToo.has(name) && (flags[name] ?? file[name]) !== undefined);
  if (given.length === 0) return;
  const lines = given.map((name) => `--${name} belongs to one service: give --service too, or put it into --services`);
  throw new AshlarError("invalid_argument", lines.join("\n"));
}

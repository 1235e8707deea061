/** The settings of `ashlar up`, from flags, `ASHLAR_*` variables and a file. Pure. */
import { isAbsolute, join, resolve } from "node:path";
import { findMeshNameFault, isLabel } from "../core/identity.js";
import { ConfigReader, type ConfigSources, type HostPort } from "../runtime/config.js";
import { type LogFormat, type LogLevel, logFormats, logLevels } from "../runtime/log.js";

/** An address to listen on. */
export interface ListenConfig extends HostPort {
  /** True if the operator gave this address: a port that is taken is then an error, not a reason to use another one. */
  readonly isGiven: boolean;
}

/** A private NATS server, or a cluster that Ashlar does not run. */
export type NatsConfig =
  | { readonly kind: "own" }
  | { readonly kind: "cluster"; readonly url: string; readonly accountFile: string };

/** The files by which a control plane joins a mesh, as absolute paths. */
export interface MembershipConfig {
  /** The join.json of the control plane that began the mesh. */
  readonly joinFile: string;
  /** The file with the token; undefined if the data folder already has a place in the mesh. */
  readonly tokenFile: string | undefined;
}

/** The web console. */
export interface ConsoleConfig {
  readonly listen: ListenConfig;
  /** The files of the certificate; undefined: a certificate of the mesh is used, or none with `plain`. */
  readonly certificate: { readonly certificateFile: string; readonly keyFile: string } | undefined;
  /** True: without TLS, which is allowed on a loopback address only. */
  readonly plain: boolean;
  /**
   * The host names that the console answers to, in lower case, beside localhost, addresses and the names in a given
   * certificate.
   */
  readonly hosts: readonly string[];
}

export interface UpConfig {
  /** The data folder, as an absolute path. */
  readonly dataDir: string;
  /** The name of the mesh; undefined: that of the data folder, or "mesh" in a new folder. */
  readonly mesh: string | undefined;
  readonly admin: ListenConfig;
  readonly join: ListenConfig;
  /** The console; undefined: there is none. */
  readonly console: ConsoleConfig | undefined;
  readonly nats: NatsConfig;
  /** Set if the control plane joins an existing mesh. undefined if it begins a mesh or has a stored place. */
  readonly membership: MembershipConfig | undefined;
  /** The address that serves health and metrics; undefined: none does. */
  readonly status: HostPort | undefined;
  readonly decisions: DecisionsConfig;
  /** The most bytes of one journal; undefined means the default. */
  readonly journalBytes: number | undefined;
  /** The number of operators other than its author that must approve a revision before it can become active. */
  readonly approvals: number;
  /**
   * Milliseconds from the first start of this version during which unsigned statements of older proxies are believed.
   */
  readonly unsignedForMs: number;
  /** The operators beside "admin" that get a context of their own. */
  readonly operators: readonly string[];
  readonly logLevel: LogLevel;
  /** The format of the log; undefined: text on a terminal, otherwise JSON. */
  readonly logFormat: LogFormat | undefined;
}

/** Bounds of the stream of decisions. They apply when the stream is created; undefined means the default. */
export interface DecisionsConfig {
  readonly decisionBytes: number | undefined;
  readonly decisionAgeMs: number | undefined;
}

export const meshDefault = "mesh";
const adminPortDefault = 7420;
const joinPortDefault = 7421;
const approvalsMax = 16;
const unsignedForMsDefault = 7 * 86_400_000;
const hostDefault = "127.0.0.1";

/** Reads the settings; fails with `invalid_argument`, one line for each bad value. */
export function parseUpConfig(sources: ConfigSources, cwd: string): UpConfig {
  const read = new ConfigReader(sources);
  const mesh = read.text("mesh");
  const fault = mesh === undefined ? undefined : findMeshNameFault(mesh);
  if (fault !== undefined) read.problem(`--mesh: ${fault}`);
  const data = read.text("data") ?? defaultDataDir(sources.env);
  const listen = read.hostPort("listen");
  const joinListen = read.hostPort("join-listen");
  const config: UpConfig = {
    dataDir: isAbsolute(data) ? data : resolve(cwd, data),
    mesh,
    admin: listen ? { ...listen, isGiven: true } : { host: hostDefault, port: adminPortDefault, isGiven: false },
    join: joinListen
      ? { ...joinListen, isGiven: true }
      : { host: listen?.host ?? hostDefault, port: joinPortDefault, isGiven: false },
    console: parseConsole(read, cwd),
    nats: parseNats(read),
    status: read.hostPort("status"),
    membership: parseMembership(read, { ...sources, env: {} }, cwd),
    decisions: {
      decisionBytes: read.sizeBytes("decisions-bytes", { min: 1024 * 1024, max: Number.MAX_SAFE_INTEGER }, "B"),
      decisionAgeMs: read.durationMs("decisions-age"),
    },
    journalBytes: read.sizeBytes("journal-bytes", { min: 4 * 1024 * 1024, max: Number.MAX_SAFE_INTEGER }, "B"),
    approvals: read.integer("approvals", { min: 0, max: approvalsMax }) ?? 0,
    unsignedForMs: read.durationMs("unsigned-for") ?? unsignedForMsDefault,
    operators: read.list("operator"),
    logLevel: read.oneOf("log-level", logLevels) ?? "info",
    logFormat: read.oneOf("log-format", logFormats),
  };
  const wrong = config.operators.find((name) => !isLabel(name));
  if (wrong !== undefined)
    read.problem(`--operator: expected 1 to 63 of a-z, 0-9 and "-", got ${JSON.stringify(wrong.slice(0, 80))}`);
  read.throwIfInvalid();
  return config;
}

function parseConsole(read: ConfigReader, cwd: string): ConsoleConfig | undefined {
  const listen = read.hostPort("console");
  const files = read.text("console-cert");
  const plain = read.flag("console-plain");
  const hosts = read.list("console-host").map((host) => host.toLowerCase());
  const [certificateFile = "", keyFile = "", ...more] = files?.split(",").map((path) => path.trim()) ?? [];
  if (files !== undefined && (certificateFile === "" || keyFile === "" || more.length > 0))
    read.problem(`--console-cert: expected CERT,KEY, got ${JSON.stringify(files.slice(0, 200))}`);
  const wrong = hosts.find((host) => !hostForm.test(host));
  if (wrong !== undefined)
    read.problem(`--console-host: expected a host name without a port, got ${JSON.stringify(wrong.slice(0, 80))}`);
  if (listen === undefined) {
    const lone =
      files !== undefined ? "--console-cert" : plain ? "--console-plain" : hosts.length > 0 ? "--console-host" : "";
    if (lone !== "") read.problem(`${lone} is given without --console HOST:PORT`);
    return undefined;
  }
  if (plain && !isLoopback(listen.host))
    read.problem(`--console-plain: expected a loopback address in --console, got ${JSON.stringify(listen.host)}`);
  if (plain && files !== undefined) read.problem("--console-plain and --console-cert: give one of them");
  const certificate =
    files === undefined
      ? undefined
      : { certificateFile: resolve(cwd, certificateFile), keyFile: resolve(cwd, keyFile) };
  return { listen: { ...listen, isGiven: true }, certificate, plain, hosts };
}

const hostForm = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;

const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);

/**
 * Reads the membership from flags and the file only: ASHLAR_JOIN and ASHLAR_TOKEN may be meant for proxies that are
 * started in the same environment.
 */
function parseMembership(read: ConfigReader, sources: ConfigSources, cwd: string): MembershipConfig | undefined {
  const given = new ConfigReader(sources);
  read.knows("join", "token");
  const [joinFile, tokenFile] = [given.text("join"), given.text("token")];
  if (joinFile === undefined) {
    if (tokenFile !== undefined) read.problem("--token is given without --join FILE");
    return undefined;
  }
  return {
    joinFile: resolve(cwd, joinFile),
    tokenFile: tokenFile === undefined ? undefined : resolve(cwd, tokenFile),
  };
}

function parseNats(read: ConfigReader): NatsConfig {
  const url = read.text("nats");
  const accountFile = read.text("nats-account");
  if (url === undefined && accountFile === undefined) return { kind: "own" };
  if (url === undefined) read.problem("--nats-account is given without --nats URL");
  if (accountFile === undefined) read.problem("--nats is given without --nats-account FILE");
  if (url !== undefined && !/^(nats|tls):\/\/[^\s,]+(,(nats|tls):\/\/[^\s,]+)*$/.test(url)) {
    read.problem(`--nats: expected nats://HOST:PORT, or several joined by commas, got ${JSON.stringify(url)}`);
  }
  return { kind: "cluster", url: url ?? "", accountFile: accountFile ?? "" };
}

/** Returns $XDG_STATE_HOME/ashlar, or ~/.local/state/ashlar. */
function defaultDataDir(env: ConfigSources["env"]): string {
  const state = env.XDG_STATE_HOME;
  if (state !== undefined && isAbsolute(state)) return join(state, "ashlar");
  return join(env.HOME ?? ".", ".local", "state", "ashlar");
}

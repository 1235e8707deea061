/** The settings of `ashlar proxy`, from flags, `ASHLAR_*` variables and a file. Pure. */

import { isAbsolute, join, resolve } from "node:path";
import { isLabel } from "../core/identity.js";
import { isLabelKey, isLabelValue } from "../core/label.js";
import type { Label } from "../core/model.js";
import { labelsMax } from "../core/wire/headers.js";
import {
  ConfigReader,
  type ConfigSources,
  type HostPort,
  parseSocketAddress,
  type SocketAddress,
} from "../runtime/config.js";
import { type LogFormat, type LogLevel, logFormats, logLevels } from "../runtime/log.js";
import { isLoopback } from "./agent/is-loopback.js";
import { type EdgeConfig, readEdge, workloadOf } from "./edge/edge-config.js";
import { type EgressSettings, readEgress } from "./egress/egress-config.js";
import { proxyEngineDefaults } from "./proxy/forward/proxy-engine.js";
import type { TelemetryOptions } from "./telemetry/open-telemetry.js";
import { readTelemetry } from "./telemetry/telemetry-config.js";

export interface UpstreamConfig {
  readonly service: string;
  readonly address: SocketAddress;
}

export interface ProxyConfig {
  readonly service: string;
  /** The file with the token, or "-" for stdin; undefined: an identity is already stored. */
  readonly token: string | undefined;
  /** The join file. */
  readonly join: string;
  /** The address of an application without the SDK; undefined: the SDK registers it, or there is none. */
  readonly app: SocketAddress | undefined;
  /** The path of the agent socket; undefined: there is none. */
  readonly agent: string | undefined;
  /** The address for calls from other proxies; undefined: they are not accepted. */
  readonly inbound: HostPort | undefined;
  /** The address that other proxies dial; undefined: that of `inbound`. */
  readonly advertise: HostPort | undefined;
  /** The address for the application's outbound calls; undefined: a gateway has no application. */
  readonly outbound: SocketAddress | undefined;
  readonly upstreams: readonly UpstreamConfig[];
  /** A gateway's listeners for outside clients; undefined: this is a proxy beside a service. */
  readonly edge: EdgeConfig | undefined;
  /** Settings for calls that leave the mesh. */
  readonly egress: EgressSettings;
  /** Sorted by key. */
  readonly labels: readonly Label[];
  readonly status: HostPort | undefined;
  /** An absolute path. */
  readonly dataDir: string;
  /** The number of processes that carry calls; 1: the proxy's own process. */
  readonly workers: number;
  /** Milliseconds that open calls may take when the proxy stops. */
  readonly graceMs: number;
  /** The share of decisions other than refusals that is recorded, from 0 to 1. */
  readonly recordShare: number;
  readonly telemetry: TelemetryOptions;
  /** The most bytes that all connections together hold for peers that do not read them. */
  readonly bufferBytesMax: number;
  /** The most bytes of one gRPC message. */
  readonly messageBytesMax: number;
  /** Milliseconds of silence after which another proxy is pinged; 0: never; undefined: the default of each side. */
  readonly keepaliveMs: number | undefined;
  /** The most bytes of the header fields of one request or answer. */
  readonly headerBytesMax: number;
  /** True if the process carries calls in memory before its start, so that the first real ones are cheap. */
  readonly warm: boolean;
  readonly logLevel: LogLevel;
  /** The format of the log; undefined: text on a terminal, otherwise JSON. */
  readonly logFormat: LogFormat | undefined;
  /** TCP ports by which the proxy can be bypassed, for `ashlar status`. */
  readonly bypassable: readonly string[];
}

const socketPathBytesMax = 107; // sun_path
const graceMsDefault = 10_000;
const recordShareDefault = 0.01;
const workersMax = 64;
const mebibytes = { min: 1, max: 65_536 } as const;
const keepaliveMsMin = 10_000;
/** Bounds of --header-kib. The least is the 8 KiB that gRPC itself suggests. */
const headerKib = { min: 8, max: 1024, usual: proxyEngineDefaults.headerBytesMax / 1024 };

/** Reads the settings; fails with `invalid_argument`, one line for each bad value. */
export function parseProxyConfig(sources: ConfigSources, cwd: string): ProxyConfig {
  const read = new ConfigReader(sources);
  read.knows("services"); // read by the process, which may have further services
  const service = read.required("service");
  if (service !== "" && !isLabel(service)) {
    read.problem(`--service: expected 1 to 63 of a-z, 0-9 and "-", got ${JSON.stringify(service)}`);
  }
  const dataDir = readDataDir(read, join("proxy", service === "" ? "unknown" : service), sources.env, cwd);
  const app = readLocal(read, "app");
  const agent = readAgent(read, dataDir);
  const inbound = read.hostPort("inbound");
  const advertise = read.hostPort("advertise");
  checkReachable(read, { serves: app !== undefined || agent !== undefined, inbound, advertise });
  const outbound = readLocal(read, "outbound") ?? { path: defaultSocket(read, "outbound", dataDir) };
  const upstreams = readUpstreams(read);
  const config: ProxyConfig = {
    ...readProcess(read, dataDir, cwd),
    service,
    edge: undefined,
    app,
    agent,
    inbound,
    advertise,
    outbound,
    upstreams,
    workers: read.integer("workers", { min: 1, max: workersMax }) ?? 1,
    bypassable: [
      ...bypass("app", app),
      ...bypass("outbound", outbound),
      ...upstreams.flatMap((one) => bypass(`upstream ${one.service}`, one.address)),
    ],
  };
  read.throwIfInvalid();
  return config;
}

/** Reads the settings of a gateway; fails as `parseProxyConfig` does. */
export function parseGatewayConfig(sources: ConfigSources, cwd: string): ProxyConfig {
  const read = new ConfigReader(sources);
  const edge = readEdge(read);
  const inbound = read.hostPort("egress");
  const advertise = read.hostPort("advertise");
  checkReachable(read, { serves: false, inbound, advertise });
  const dataDir = readDataDir(read, join("gateway", edge.name === "" ? "unknown" : edge.name), sources.env, cwd);
  const config: ProxyConfig = {
    ...readProcess(read, dataDir, cwd),
    ...{ service: workloadOf(edge), edge, upstreams: [] },
    workers: read.integer("workers", { min: 1, max: workersMax }) ?? 1,
    bypassable: edge.listeners
      .filter(({ certificates }) => certificates.length === 0)
      .map(({ name, address }) => `listener ${name} without TLS ${address.host}:${address.port}`),
    ...{ app: undefined, agent: undefined, inbound, advertise, outbound: undefined },
  };
  read.throwIfInvalid();
  return config;
}

type OfProcess = "token" | "join" | "labels" | "status" | "dataDir" | "bufferBytesMax" | "messageBytesMax";
type OfCalls =
  | "egress"
  | "keepaliveMs"
  | "headerBytesMax"
  | "graceMs"
  | "recordShare"
  | "telemetry"
  | "warm"
  | "logLevel"
  | "logFormat";

/** Reads the settings that proxies and gateways share. */
function readProcess(read: ConfigReader, dataDir: string, cwd: string): Pick<ProxyConfig, OfProcess | OfCalls> {
  return {
    token: read.text("token"),
    join: read.required("join"),
    egress: readEgress(read),
    labels: readLabels(read),
    status: read.hostPort("status"),
    dataDir,
    bufferBytesMax: read.sizeBytes("buffer-mib", mebibytes, "MiB") ?? proxyEngineDefaults.bufferBytesMax,
    messageBytesMax: read.sizeBytes("message-mib", mebibytes, "MiB") ?? proxyEngineDefaults.messageBytesMax,
    keepaliveMs: readKeepalive(read),
    headerBytesMax: read.sizeBytes("header-kib", headerKib, "KiB") ?? headerKib.usual * 1024,
    graceMs: read.durationMs("grace") ?? graceMsDefault,
    recordShare: read.share("record-share") ?? recordShareDefault,
    telemetry: readTelemetry(read, cwd),
    warm: readWarm(read),
    logLevel: read.oneOf("log-level", logLevels) ?? "info",
    logFormat: read.oneOf("log-format", logFormats),
  };
}

export function readWarm(read: ConfigReader): boolean {
  return read.oneOf("warm", ["on", "off"]) === "on";
}

export function readDataDir(read: ConfigReader, usual: string, env: ConfigSources["env"], cwd: string): string {
  const data = read.text("data") ?? join(stateDir(env), usual);
  return isAbsolute(data) ? data : resolve(cwd, data);
}

/**
 * Reads an address for the application. A TCP port is open to every process of the machine, so it must be a loopback
 * address.
 */
function readLocal(read: ConfigReader, name: "app" | "outbound"): SocketAddress | undefined {
  const address = read.socketAddress(name);
  if (address !== undefined && "host" in address && !isLoopback(address.host)) {
    read.problem(`--${name}: ${address.host} is not a loopback address: others could go around the proxy`);
  }
  return address;
}

/** Returns --keepalive in milliseconds. Proxies of any version count pings within ten seconds as strikes (gRFC A8). */
function readKeepalive(read: ConfigReader): number | undefined {
  const ms = read.durationMs("keepalive");
  if (ms === undefined || ms === 0 || ms > keepaliveMsMin) return ms;
  read.problem(
    "--keepalive: expected 0, for never, or more than 10s: other proxies count more frequent pings against this one",
  );
  return undefined;
}

/** Reads the path of the agent socket; `--agent` without a value means the default path. */
function readAgent(read: ConfigReader, dataDir: string): string | undefined {
  const text = read.text("agent");
  if (text === undefined) return undefined;
  if (text === "true") return defaultSocket(read, "agent", dataDir);
  const address = parseSocketAddress(text);
  if (address !== undefined && "path" in address) return address.path;
  read.problem(`--agent: expected unix:PATH (at most ${socketPathBytesMax} bytes), got ${JSON.stringify(text)}`);
  return undefined;
}

function defaultSocket(read: ConfigReader, name: "agent" | "outbound", dataDir: string): string {
  const path = join(dataDir, "run", `${name}.sock`);
  if (Buffer.byteLength(path) > socketPathBytesMax) {
    read.problem(
      `--${name}: the default ${path} is longer than ${socketPathBytesMax} bytes: give unix:PATH or a shorter --data`,
    );
  }
  return path;
}

function checkReachable(
  read: ConfigReader,
  given: {
    readonly serves: boolean;
    readonly inbound?: HostPort | undefined;
    readonly advertise?: HostPort | undefined;
  },
): void {
  const { serves, inbound, advertise } = given;
  if (serves && inbound === undefined) read.required("inbound");
  const isAny = inbound !== undefined && (inbound.host === "0.0.0.0" || inbound.host === "::");
  if (isAny && advertise === undefined) {
    read.problem(`--advertise is missing: other proxies cannot dial ${inbound.host}`);
  }
  if (advertise?.port === 0) read.problem("--advertise: port 0 cannot be dialled");
}

function readUpstreams(read: ConfigReader): readonly UpstreamConfig[] {
  const upstreams: UpstreamConfig[] = [];
  for (const text of read.list("upstream")) {
    const [service = "", rest = ""] = splitOnce(text);
    const address = parseSocketAddress(rest);
    if (!isLabel(service) || address === undefined) {
      read.problem(`--upstream: expected NAME=unix:PATH or NAME=HOST:PORT, got ${JSON.stringify(text)}`);
    } else if ("host" in address && !isLoopback(address.host)) {
      read.problem(
        `--upstream ${service}: ${address.host} is not a loopback address: others could go around the proxy`,
      );
    } else {
      upstreams.push({ service, address });
    }
  }
  return upstreams;
}

function readLabels(read: ConfigReader): readonly Label[] {
  const labels = new Map<string, string>();
  for (const text of read.list("label")) {
    const [key = "", value = ""] = splitOnce(text);
    if (!isLabelKey(key) || !isLabelValue(value) || !text.includes("="))
      read.problem(`--label: expected KEY=VALUE of letters, digits, ".", "_" and "-", got ${JSON.stringify(text)}`);
    else if (labels.has(key)) read.problem(`--label ${key} is given twice`);
    labels.set(key, value);
  }
  if (labels.size > labelsMax) read.problem(`--label: at most ${labelsMax}, got ${labels.size}`);
  return [...labels].map(([key, value]) => ({ key, value })).sort((a, b) => (a.key < b.key ? -1 : 1));
}

function splitOnce(text: string): [string, string] {
  const at = text.indexOf("=");
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

function bypass(what: string, address: SocketAddress | undefined): string[] {
  return address !== undefined && "host" in address ? [`${what} tcp ${address.host}:${address.port}`] : [];
}

/** Returns $XDG_STATE_HOME/ashlar, or ~/.local/state/ashlar. */
function stateDir(env: ConfigSources["env"]): string {
  const state = env.XDG_STATE_HOME;
  if (state !== undefined && isAbsolute(state)) return join(state, "ashlar");
  return join(env.HOME ?? ".", ".local", "state", "ashlar");
}

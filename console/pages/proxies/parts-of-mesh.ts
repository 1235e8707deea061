/** Sorts the mesh's problems: which are about NATS and its logs, and which about control planes. */
import type { ControlPlaneInfo, NatsServerInfo, Problem, SigningKeyInfo } from "../../api/messages.js";
import { counted } from "../../format/amounts.js";
import type { Tone } from "../../format/codes.js";

const ofNats: readonly string[] = [
  "nats-away",
  "nats-server-silent",
  "nats-account",
  "log",
  "disk",
  "journal",
  "audit",
  "recovery",
  "record-conflict",
];
const ofControlPlane: readonly string[] = ["control-plane-silent", "issuer", "roster-full", "proxies-unsigned"];

export interface PartProblems {
  readonly nats: readonly Problem[];
  readonly controlPlane: readonly Problem[];
}

export function problemsOfParts(problems: readonly Problem[]): PartProblems {
  return {
    nats: problems.filter(({ code }) => ofNats.includes(code)),
    controlPlane: problems.filter(
      // A clock that most of the fleet disagrees with is that of the control plane: the problem names no proxy.
      ({ code, subject }) => ofControlPlane.includes(code) || (code === "clock" && subject === ""),
    ),
  };
}

/** A control plane with its signing keys. `info` is undefined if a key appears in only one of the two answers. */
export interface Plane {
  readonly name: string;
  readonly info: ControlPlaneInfo | undefined;
  readonly keys: readonly SigningKeyInfo[];
}

/** Returns every control plane that is known by either list, sorted by name. */
export function joinPlanes(infos: readonly ControlPlaneInfo[], keys: readonly SigningKeyInfo[]): readonly Plane[] {
  const names = new Set([...infos.map(({ name }) => name), ...keys.map(({ holder }) => holder)]);
  return [...names].sort().map((name) => ({
    name,
    info: infos.find((info) => info.name === name),
    keys: keys.filter(({ holder }) => holder === name),
  }));
}

interface Spoken {
  readonly word: string;
  readonly tone: Tone;
}

/**
 * Returns a control plane's state. `natsConnected`: whether the answering control plane could have heard the others.
 */
export function stateOfPlane({ info, keys }: Plane, natsConnected: boolean): Spoken {
  if (info?.self === true || keys.some(({ inUse }) => inUse)) return { word: "answers you", tone: "ok" };
  if (info === undefined) return { word: "trusted", tone: "plain" };
  if (info.silent) return { word: "silent", tone: "bad" };
  return natsConnected ? { word: "there", tone: "ok" } : { word: "not known", tone: "plain" };
}

/** Returns what is wrong with NATS servers that no problem names. Empty: nothing. */
export function renderAway(servers: readonly NatsServerInfo[]): string {
  const away = servers.filter((server) => stateOfServer(server).tone === "bad").length;
  if (away === 0) return "";
  return `${away} of ${counted(servers.length, "server")} ${away === 1 ? "does" : "do"} not answer the control plane that answers you.`;
}

export interface ServerState extends Spoken {
  readonly address: string;
  readonly name: string;
}

export function stateOfServer({ address, name, connected }: NatsServerInfo): ServerState {
  if (connected) return { address, name, word: "connected", tone: "ok" };
  return name === ""
    ? { address, name, word: "does not answer", tone: "bad" }
    : { address, name, word: "there", tone: "ok" };
}

/** Which problems of the mesh are about NATS and the logs in it, and which about control planes. */
import type { Problem } from "../../api/messages.js";

const ofNats: readonly string[] = [
  "nats-away",
  "nats-account",
  "log",
  "disk",
  "journal",
  "audit",
  "recovery",
  "record-conflict",
];
const ofControlPlane: readonly string[] = ["issuer", "roster-full", "proxies-unsigned"];

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

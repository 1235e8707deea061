/** How a change of policy changes who may call what. */
import type { AccessChange } from "../../api/messages.js";

export interface AccessEffect {
  readonly gains: readonly AccessChange[];
  readonly loses: readonly AccessChange[];
  /** Access that is still allowed, or still denied, but under another condition. */
  readonly changes: readonly AccessChange[];
}

export function effectOf(access: readonly AccessChange[]): AccessEffect {
  return {
    gains: access.filter(({ change }) => change === "gains"),
    loses: access.filter(({ change }) => change === "loses"),
    changes: access.filter(({ change }) => change !== "gains" && change !== "loses"),
  };
}

/** Returns what a person has to type before the mesh changes. The number shows that they know which revision it is. */
export const confirmationOf = (verb: "activate" | "stage" | "roll back", revision: number): string =>
  `${verb} ${revision}`;

export const isConfirmed = (typed: string, expected: string): boolean =>
  typed.trim().replace(/\s+/g, " ").toLowerCase() === expected;

/** What a change of policy does to who may call what. */
import type { AccessChange } from "../../api/messages.js";

export interface AccessEffect {
  readonly gains: readonly AccessChange[];
  readonly loses: readonly AccessChange[];
  /** May still call, or still not, under another condition. */
  readonly changes: readonly AccessChange[];
}

export function effectOf(access: readonly AccessChange[]): AccessEffect {
  return {
    gains: access.filter(({ change }) => change === "gains"),
    loses: access.filter(({ change }) => change === "loses"),
    changes: access.filter(({ change }) => change !== "gains" && change !== "loses"),
  };
}

/** What a person types before the mesh changes: the number shows that they read which revision it is. */
export const confirmationOf = (verb: "activate" | "stage" | "roll back", revision: number): string =>
  `${verb} ${revision}`;

export const isConfirmed = (typed: string, expected: string): boolean =>
  typed.trim().replace(/\s+/g, " ").toLowerCase() === expected;

import type { WeightedVersion } from "../model.js";

/** Where a call goes: to one version, to any (there is no split), or nowhere (no healthy endpoint). */
export type VersionChoice =
  | { readonly kind: "version"; readonly version: string }
  | { readonly kind: "any" }
  | { readonly kind: "none" };

const any: VersionChoice = Object.freeze({ kind: "any" });
const none: VersionChoice = Object.freeze({ kind: "none" });

/**
 * Chooses a version of `split` by `draw`, uniform in [0, 1). Weights are relative to each other. A version
 * without endpoints gets nothing while another of the split has some: its share goes to the others by
 * their weights. A version of weight 0 never gets anything. Versions outside the split neither.
 */
export function chooseVersion(
  split: readonly WeightedVersion[],
  draw: number,
  hasEndpoint: (version: string) => boolean,
): VersionChoice {
  if (split.length === 0) return any;
  const usable = split.filter(({ version, weight }) => weight > 0 && hasEndpoint(version));
  let left = draw * usable.reduce((sum, { weight }) => sum + weight, 0);
  for (const { version, weight } of usable) {
    left -= weight;
    if (left < 0) return { kind: "version", version };
  }
  const last = usable.at(-1); // rounding can leave nothing below zero
  return last === undefined ? none : { kind: "version", version: last.version };
}

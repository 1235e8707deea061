/** The history of the mesh's policy: revisions by their publication and activations by their time, newest first. */
import type { ActivationInfo, RevisionInfo } from "../../api/messages.js";
import type { Tone } from "../../format/codes.js";
import { renderDay } from "../../format/times.js";

export type Entry =
  | { readonly kind: "revision"; readonly timeMs: number; readonly revision: RevisionInfo }
  | { readonly kind: "activation"; readonly timeMs: number; readonly activation: ActivationInfo };

export interface Day {
  readonly name: string;
  readonly entries: readonly Entry[];
}

export interface TimelineFilter {
  readonly search: string;
  readonly activations: boolean;
}

/** Returns the days with their entries, newest first; of one time a revision stands below its activation. */
export function buildTimeline(
  revisions: readonly RevisionInfo[],
  activations: readonly ActivationInfo[],
  { search, activations: withActivations }: TimelineFilter,
): readonly Day[] {
  const entries: Entry[] = revisions.map((revision) => ({ kind: "revision", timeMs: revision.timeMs, revision }));
  if (withActivations)
    for (const activation of activations) entries.push({ kind: "activation", timeMs: activation.timeMs, activation });
  entries.sort((a, b) => b.timeMs - a.timeMs || rankOf(b) - rankOf(a));
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const days: { name: string; entries: Entry[] }[] = [];
  for (const entry of entries) {
    const text = textOf(entry).toLowerCase();
    if (!words.every((word) => text.includes(word))) continue;
    const name = renderDay(entry.timeMs);
    if (days.at(-1)?.name !== name) days.push({ name, entries: [] });
    days.at(-1)?.entries.push(entry);
  }
  return days;
}

/** Orders entries of one moment: activations above the revision, later epochs above earlier ones. */
const rankOf = (entry: Entry): number => (entry.kind === "activation" ? entry.activation.epoch : 0);

function textOf(entry: Entry): string {
  if (entry.kind === "revision") {
    const { number, message, author, digest, changedUnits } = entry.revision;
    return `revision ${number} ${message} ${author} ${digest} ${changedUnits.join(" ")}`;
  }
  const { epoch, revision, author, reason } = entry.activation;
  return `epoch ${epoch} revision ${revision} ${author} ${reason} ${describeActivation(entry.activation).word}`;
}

/** Describes in a few words what an activation did. */
export function describeActivation(activation: ActivationInfo): { readonly word: string; readonly tone: Tone } {
  const { rollbackOf, rollout, stage, paused, forced, revision } = activation;
  if (rollbackOf > 0) return { word: `rolled back from ${rollbackOf} to ${revision}`, tone: "bad" };
  if (rollout > 0)
    return paused
      ? { word: `rollout ${rollout} paused at stage ${stage}`, tone: "warn" }
      : { word: `rollout ${rollout}: stage ${stage} of revision ${revision}`, tone: "note" };
  return { word: `revision ${revision} activated${forced ? " by force" : ""}`, tone: forced ? "warn" : "accent" };
}

/**
 * Adds an activation to a list that is oldest first. Each is listed once, even if the stream sends it again. The newest
 * `max` stay.
 */
export function addActivation(
  known: readonly ActivationInfo[],
  next: ActivationInfo,
  max: number,
): readonly ActivationInfo[] {
  if (known.some(({ epoch }) => epoch === next.epoch)) return known;
  return [...known, next].sort((a, b) => a.epoch - b.epoch).slice(-max);
}

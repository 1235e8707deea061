/** Compares an existing stream with what a journal, or its data keys, requires. */
import type { StreamInfo, StreamSpec } from "../../runtime/bus.js";

const fixed = [
  "subjects",
  "discard",
  "discardNewPerSubject",
  "maxMessagesPerSubject",
  "maxAgeMs",
  "denyDelete",
  "denyPurge",
  "allowDirect",
  "republish",
] as const satisfies readonly (keyof StreamSpec)[];

/**
 * Returns why the stream must not be used, in words for people; empty: it may be. Sizes and the number of replicas may
 * differ.
 */
export function specFaults(right: StreamSpec, { spec, dangers }: StreamInfo): readonly string[] {
  const wrong = fixed.filter((field) => JSON.stringify(right[field]) !== JSON.stringify(spec[field]));
  const faults = wrong.map(
    (field) => `${field} is ${JSON.stringify(spec[field])}, not ${JSON.stringify(right[field])}`,
  );
  return [...dangers, ...faults];
}

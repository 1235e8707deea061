/**
 * What became of a copy of a call. Every outcome but "answered" means that the copy was dropped: no instance takes calls,
 * too many copies are open, memory is short, more of the request waits than is kept, its headers are more than the other
 * side takes, no connection, no answer in time, the call was cancelled or ended before its request was complete, or the other side gave the
 * copy up.
 */
const mirrorOutcomes = [
  "answered",
  "no-instance",
  "full",
  "memory",
  "slow",
  "oversized",
  "unreachable",
  "late",
  "cut",
  "reset",
] as const;
export type MirrorOutcome = (typeof mirrorOutcomes)[number];

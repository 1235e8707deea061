/**
 * How a copy of a call ended. Every outcome but "answered" means that the copy was dropped: no instance takes calls,
 * too many copies are open, memory is short, more of the request waits than is kept, the headers exceed what the other
 * side takes, there was no connection, no answer came in time, the call was cancelled or ended before its request was
 * complete, or the other side gave the copy up.
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

/** The phases of a call's life, and which may follow which. Pure. */

/** A small integer a call; those from `passed` on are settled: nothing may be sent upstream any more. */
export const phase = {
  /** It is being judged and routed, or waits for a connection; nothing of it was sent. */
  begun: 0,
  /** Something that is not here yet comes first: news of policy, a record that must be kept. Nothing of it was sent. */
  held: 1,
  /** An attempt is upstream, and the caller has nothing of its response: it may be given up for another one. */
  trying: 2,
  /** No attempt is upstream: the last one was given up, and the next one waits for a connection. */
  between: 3,
  /** The caller has the head of the response: what becomes of this attempt becomes of the call. */
  committed: 4,
  /** The end that the upstream gave was handed on, and the caller has not taken all of it. */
  passed: 5,
  /** The proxy itself answered, and the caller has not taken all of it. */
  answered: 6,
  /** Nothing of it is left. */
  over: 7,
} as const;
export type Phase = (typeof phase)[keyof typeof phase];

const next: Readonly<Record<keyof typeof phase, readonly (keyof typeof phase)[]>> = {
  begun: ["held", "trying", "answered", "over"],
  held: ["begun", "answered", "over"],
  trying: ["between", "committed", "passed", "answered", "over"],
  between: ["trying", "answered", "over"],
  committed: ["passed", "answered", "over"],
  passed: ["over"],
  answered: ["over"],
  over: [],
};

/** Of each phase a bit for each that may follow. */
const follows = Object.keys(phase).map((from) =>
  next[from as keyof typeof phase].reduce((bits, to) => bits | (1 << phase[to]), 0),
);

/** Whether a call in phase `from` may enter `to`. What asks for a step that is refused comes too late: it does nothing. */
export function mayEnter(from: Phase, to: Phase): boolean {
  return ((follows[from] as number) & (1 << to)) !== 0;
}

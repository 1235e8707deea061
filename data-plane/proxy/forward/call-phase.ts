/** The phases of a call, and which phase may follow which. Pure. */

/** A call's phase is a small integer. From `passed` on the call is settled: nothing more may be sent upstream. */
export const phase = {
  /** The call is being judged and routed, or waits for a connection. Nothing of it was sent upstream. */
  begun: 0,
  /** The call waits for news of policy, or for a record that must be stored first. Nothing of it was sent upstream. */
  held: 1,
  /** An attempt is upstream and the caller has nothing of its response, so it may be replaced by another attempt. */
  trying: 2,
  /** No attempt is upstream: the last one was abandoned and the next one waits for a connection. */
  between: 3,
  /** The caller has the head of the response, so the call ends as this attempt ends. */
  committed: 4,
  /** The upstream's end was passed on, and the caller has not taken all of it. */
  passed: 5,
  /** The proxy answered itself, and the caller has not taken all of it. */
  answered: 6,
  /** The call is over. */
  over: 7,
} as const;
export type Phase = (typeof phase)[keyof typeof phase];

const next: Readonly<Record<keyof typeof phase, readonly (keyof typeof phase)[]>> = {
  begun: ["held", "trying", "answered", "over"],
  held: ["begun", "committed", "answered", "over"],
  trying: ["between", "committed", "passed", "answered", "over"],
  between: ["trying", "answered", "over"],
  committed: ["passed", "answered", "over"],
  passed: ["over"],
  answered: ["over"],
  over: [],
};

/** For each phase: a bit for each phase that may follow. */
const follows = Object.keys(phase).map((from) =>
  next[from as keyof typeof phase].reduce((bits, to) => bits | (1 << phase[to]), 0),
);

/** Whether a call in phase `from` may enter `to`. A step that is refused came too late and does nothing. */
export function mayEnter(from: Phase, to: Phase): boolean {
  return ((follows[from] as number) & (1 << to)) !== 0;
}

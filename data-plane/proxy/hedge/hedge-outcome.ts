/** What became of a try beside another one: its answer counted, another one's did, or it failed. */
export type HedgeOutcome = "won" | "lost" | "failed";

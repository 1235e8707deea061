/** How a hedged try ended: its answer was used, another try's answer was used, or it failed. */
export type HedgeOutcome = "won" | "lost" | "failed";

/** Ends what a bench or a check has started when the process itself is told to end: its children would go on without it. */

export interface Ending {
  end(): Promise<unknown>;
  /** What can be done within one turn, where the process ends without having waited. */
  endNow(): void;
}

const endings = new Set<Ending>();
let isEnding = false;

/** Has `ending` carried out if the process is told to end; the last one first. Returns a function that takes it back. */
export function whenKilled(ending: Ending): () => void {
  endings.add(ending);
  return () => endings.delete(ending);
}

/** Ends everything, then the process. */
async function endAll(code: number): Promise<void> {
  if (isEnding) process.exit(code); // told twice: `endNow` has to do
  isEnding = true;
  for (const ending of [...endings].reverse()) await ending.end().catch(() => undefined);
  process.exit(code);
}

/**
 * Makes SIGINT, SIGTERM and SIGHUP end what was started, then the process; with the exit code of a shell. `onTerminate`:
 * what SIGTERM does instead.
 */
export function endWhenKilled(onTerminate?: () => void): void {
  for (const [signal, number] of [
    ["SIGHUP", 1],
    ["SIGINT", 2],
    ["SIGTERM", 15],
  ] as const)
    process.on(signal, () => {
      if (signal === "SIGTERM" && onTerminate !== undefined) onTerminate();
      else void endAll(128 + number);
    });
  process.on("exit", () => {
    for (const ending of [...endings].reverse()) ending.endNow();
  });
}

/** Ends the process with 1 if it still runs after so many minutes; `during` says what it was at. */
export function endAfter(minutes: number, during: () => string): void {
  const late = (): void => {
    console.error(`not within ${minutes} minutes: ${during()}`);
    void endAll(1);
  };
  setTimeout(late, minutes * 60_000).unref();
}

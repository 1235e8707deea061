/** Creates the writer that signs this proxy's statements and the reader that verifies those of others. */
import { messageOf } from "../../core/errors.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import { StatementReader } from "../../runtime/statement-reader.js";
import { StatementWriter } from "../../runtime/statement-writer.js";
import type { IdentityView } from "../ports.js";
import type { Sync } from "../sync/open-sync.js";
import type { StateFolder } from "../sync/state-folder.js";

export interface StatementsDeps {
  readonly identity: IdentityView;
  readonly sync: Pick<Sync, "trusting">;
  readonly folder: Pick<StateFolder, "read" | "write">;
  readonly clock: Clock;
  readonly log: Logger;
  /** A counter that no running predecessor exceeds; 0: there is none. */
  readonly counterFloor: number;
}

export interface Statements {
  readonly statements: StatementWriter;
  readonly reader: StatementReader;
}

const fileName = "statement-counter";
const saveEveryMs = 60_000;
/**
 * The stored counter is ahead of the used one, so that signing never waits for a write and a crash never reuses a
 * counter.
 */
const aheadMs = 2 * saveEveryMs;

/** Returns a counter that this process will not reach within two minutes; a successor's counters are above it. */
export function counterAhead({ counter }: StatementWriter, nowMs: number): number {
  return Math.round(Math.max(counter, nowMs) + aheadMs);
}

/**
 * Opens the statements. Counters continue above those of earlier runs, whatever the clock says. They are saved until
 * `signal` aborts.
 */
export async function openStatements(deps: StatementsDeps, signal: AbortSignal): Promise<Statements> {
  const { identity, sync, clock } = deps;
  const statements = new StatementWriter({ identity, clock }, Math.max(deps.counterFloor, await readFloor(deps)));
  const reader = new StatementReader({
    mesh: identity.current.mesh,
    trusting: () => sync.trusting,
    clock,
    unsignedUntilMs: () => identity.current.unsignedUntilMs,
  });
  void saveFloors(deps, statements, signal);
  return { statements, reader };
}

async function readFloor({ folder, log }: StatementsDeps): Promise<number> {
  try {
    const bytes = await folder.read(fileName);
    const floor = Number(
      Buffer.from(bytes ?? [])
        .toString("latin1")
        .trim(),
    );
    if (Number.isSafeInteger(floor) && floor >= 0) return floor;
    log.warn(`state on disk: ${fileName} is damaged and ignored`);
  } catch (error) {
    log.warn(`state on disk: ${fileName} is ignored: ${messageOf(error)}`);
  }
  return 0;
}

async function saveFloors(
  { folder, clock, log }: StatementsDeps,
  writer: StatementWriter,
  signal: AbortSignal,
): Promise<void> {
  let said = false;
  while (!signal.aborted) {
    try {
      const floor = counterAhead(writer, clock.nowMs());
      await folder.write(fileName, Buffer.from(`${floor}\n`, "latin1"));
      said = false;
    } catch (error) {
      if (!said) log.warn(`cannot save the counter of statements: ${messageOf(error)}`);
      said = true;
    }
    await clock.sleep(saveEveryMs, signal);
  }
}

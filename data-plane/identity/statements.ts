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
}

export interface Statements {
  readonly statements: StatementWriter;
  readonly reader: StatementReader;
}

const fileName = "statement-counter";
const saveEveryMs = 60_000;
/**
 * The stored counter is ahead of the used one, so that signing waits for no write and a crash never reuses a counter.
 */
const aheadMs = 2 * saveEveryMs;

/**
 * Opens the statements. Counters continue above those of earlier runs, whatever the clock says. They are saved until
 * `signal` aborts.
 */
export async function openStatements(deps: StatementsDeps, signal: AbortSignal): Promise<Statements> {
  const { identity, sync, clock } = deps;
  const statements = new StatementWriter({ identity, clock }, await readFloor(deps));
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
      const floor = Math.max(writer.counter, clock.nowMs()) + aheadMs;
      await folder.write(fileName, Buffer.from(`${Math.round(floor)}\n`, "latin1"));
      said = false;
    } catch (error) {
      if (!said) log.warn(`cannot save the counter of statements: ${messageOf(error)}`);
      said = true;
    }
    await clock.sleep(saveEveryMs, signal);
  }
}

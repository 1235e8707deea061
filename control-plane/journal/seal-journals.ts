/**
 * Looks at the journals of the mesh at intervals until it is closed: seals them, and finds the writes without an
 * outcome.
 */
import { messageOf } from "../../core/errors.js";
import type { KeySet } from "../../core/signature.js";
import { keySetOf } from "../../core/wire/records.js";
import type { Bus } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import { type Problem, problemsAbout } from "../fleet/problems.js";
import type { Ledger } from "../store/ledger.js";
import { findJournals } from "./find-journals.js";
import type { JournalSealer } from "./journal-sealer.js";
import { isImporting } from "./journal-streams.js";
import type { UnresolvedWrites } from "./unresolved-writes.js";

export interface SealingDeps {
  readonly bus: Pick<Bus, "connected" | "streamNames" | "streamInfo">;
  readonly sealer: Pick<JournalSealer, "look" | "behind">;
  readonly unresolved: Pick<UnresolvedWrites, "look" | "of">;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The metrics of a journal, as of the last look. */
export interface JournalFigures {
  readonly service: string;
  readonly messages: number;
  readonly bytes: number;
  /** The most bytes that the journal may hold; 0: it has no bound. */
  readonly bytesMax: number;
  /** The number of messages that no seal covers yet. */
  readonly unsealed: number;
  /** The number of valid writes that have had no outcome for a minute. */
  readonly unresolved: number;
}

export interface Sealing {
  problems(): readonly Problem[];
  figures(): readonly JournalFigures[];
  close(): Promise<void>;
}

const lookEveryMs = 5000;
/**
 * More unsealed messages than this are a problem: until they are sealed, somebody who can write to the broker's disk
 * could change them unnoticed.
 */
const behindMax = 100_000;

export function sealJournals({ bus, sealer, unresolved, clock, log }: SealingDeps): Sealing {
  const stop = new AbortController();
  let problems: readonly Problem[] = [];
  let figures: readonly JournalFigures[] = [];
  const look = async (): Promise<void> => {
    const found: Problem[] = [];
    const seen: JournalFigures[] = [];
    for (const journal of await findJournals(bus)) {
      const { service, info } = journal;
      if (isImporting(info)) continue; // it is no journal yet
      await unresolved.look(journal, stop.signal); // first, since what it reads need not be read again to be sealed
      await sealer.look(journal, stop.signal);
      const behind = sealer.behind(service);
      const open = unresolved.of(service);
      const { messages, bytes, spec } = info;
      const figure = { service, messages, bytes, bytesMax: spec.maxBytes ?? 0 };
      seen.push({ ...figure, unsealed: behind, unresolved: open.count });
      found.push(...problemsAbout("journal", unresolvedLines(service, open), service));
      if (behind > behindMax) {
        const line = `${behind} messages of the journal of ${service} are not sealed yet: control planes are too slow for what is written`;
        found.push(...problemsAbout("journal", [line], service));
      }
    }
    problems = found;
    figures = seen;
  };
  const running = (async () => {
    while (!stop.signal.aborted) {
      if (bus.connected)
        await look().catch((error: unknown) => {
          if (stop.signal.aborted) return;
          log.warn("journals cannot be sealed", { error: messageOf(error) });
          problems = problemsAbout("journal", [`journals cannot be sealed: ${messageOf(error)}`]);
        });
      await clock.sleep(lookEveryMs, stop.signal);
    }
  })();
  return {
    problems: () => problems,
    figures: () => figures,
    async close() {
      stop.abort();
      await running;
    },
  };
}

function unresolvedLines(
  service: string,
  { count, oldest, storedMs }: ReturnType<UnresolvedWrites["of"]>,
): readonly string[] {
  if (count === 0) return [];
  const since = `the oldest of ${new Date(storedMs).toISOString()}, sequence ${oldest}`;
  const what = count === 1 ? `a write of ${service} has no outcome` : `${count} writes of ${service} have no outcome`;
  return [
    `${what} in the journal (${since}); where it has an order key, later writes of that key wait for it: look into the application, ` +
      `then say what became of it (\`ashlar journal list --service ${service} --unresolved\`, \`ashlar journal resolve\`)`,
  ];
}

/** Returns every signing key that the mesh has ever had. */
export function everyKey(trust: Pick<Ledger["trust"], "list">): KeySet {
  return new Map(trust.list().flatMap(({ body }) => [...keySetOf(body)]));
}

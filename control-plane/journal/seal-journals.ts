/** Seals the journals of the mesh now and then, until it is closed. */
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

export interface SealingDeps {
  readonly bus: Pick<Bus, "connected" | "streamNames" | "streamInfo">;
  readonly sealer: Pick<JournalSealer, "look" | "behind">;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Sealing {
  problems(): readonly Problem[];
  close(): Promise<void>;
}

const lookEveryMs = 5000;
/** More messages without a seal than this are a problem: until then whoever reaches the broker's disk changes them unseen. */
const behindMax = 100_000;

export function sealJournals({ bus, sealer, clock, log }: SealingDeps): Sealing {
  const stop = new AbortController();
  let problems: readonly Problem[] = [];
  const look = async (): Promise<void> => {
    const found: Problem[] = [];
    for (const journal of await findJournals(bus)) {
      const { service } = journal;
      await sealer.look(journal, stop.signal);
      const behind = sealer.behind(service);
      if (behind > behindMax) {
        const line = `${behind} messages of the journal of ${service} are not sealed yet: control planes are too slow for what is written`;
        found.push(...problemsAbout("journal", [line], service));
      }
    }
    problems = found;
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
    async close() {
      stop.abort();
      await running;
    },
  };
}

/** Every key that ever was one of the mesh's. */
export function everyKey(trust: Pick<Ledger["trust"], "list">): KeySet {
  return new Map(trust.list().flatMap(({ body }) => [...keySetOf(body)]));
}

import { expect, test } from "@jest/globals";
import { closedSpec } from "../../../control-plane/journal/journal-retainer.js";
import { journalSpec } from "../../../control-plane/journal/journal-streams.js";
import { watchJournals } from "../../../control-plane/journal/journal-watch.js";
import { MemoryBroker } from "../../../runtime/memory-bus.js";
import { ManualClock } from "../../support/manual-clock.js";

test("a journal that stays closed is opened again, and an import that did not end is not, since it may acknowledge yet", async () => {
  const clock = new ManualClock();
  const bus = new MemoryBroker(clock).connect();
  const specOf = (service: string) =>
    closedSpec(journalSpec({ service, rememberMs: 0 }, { maxBytes: 1e9, replicas: 1 }));
  await bus.createStream(specOf("ledger"));
  await bus.createStream({ ...specOf("imported"), denyPurge: false });
  const reopened = new Set<string>();
  const watch = watchJournals({
    ...{ bus, clock, wanted: async () => [], fit: async () => {} },
    reopen: async ({ service }) => void reopened.add(service),
  });
  for (let look = 0; look < 10; look += 1) await clock.advance(10_000);
  await watch.close();
  expect([...reopened]).toEqual(["ledger"]);
});

/** What workers hear of what the application has applied. */
import { expect, test } from "@jest/globals";
import { AppRegistry } from "../../../data-plane/agent/app-registry.js";
import { CrewApp } from "../../../data-plane/workers/crew-app.js";
import type { ToWorker } from "../../../data-plane/workers/messages.js";
import { WorkerApplied } from "../../../data-plane/workers/worker-views.js";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

test("reports of one turn are one message, and a worker that starts later hears what was said before", async () => {
  const registry = new AppRegistry();
  const briefed: number[] = [1];
  const views = new Map([1, 2].map((worker) => [worker, new WorkerApplied()]));
  let messages = 0;
  const kinds: string[] = [];
  const say = (worker: number, message: ToWorker): void => {
    kinds.push(message.kind);
    if (message.kind !== "applied") return;
    messages += 1;
    views.get(worker)?.hear(message.report, message.isNew);
  };
  const crew = new CrewApp({ briefed, say } as never, registry);
  const entry = registry.register({ instance: "a", target: { path: "/a" } }, () => {});
  messages = 0;
  for (let sequence = 1; sequence <= 20; sequence++) entry.applied({ position: sequence + 1, sequences: [sequence] });
  await turn();
  expect(messages).toBe(1);
  expect([views.get(1)?.applied?.position, views.get(1)?.applied?.names(20)]).toEqual([21, true]);
  briefed.push(2);
  crew.brief(2);
  expect([views.get(2)?.applied?.position, views.get(2)?.applied?.names(1)]).toEqual([21, true]);

  // all that the proxy remembers, and no more
  for (let from = 21; from <= 70_000; from += 1000)
    entry.applied({ position: 0, sequences: Array.from({ length: 1000 }, (_, at) => from + at) });
  crew.brief(2);
  const names = (sequence: number): boolean | undefined => views.get(2)?.applied?.names(sequence);
  expect([names(70_020 - 65_536), names(70_020 - 65_535), names(70_020)]).toEqual([false, true, true]);

  // another application has said nothing, and calls reach it only once workers know that
  kinds.length = 0;
  registry.register({ instance: "b", target: { path: "/b" } }, () => {});
  expect([...views.values()].map(({ applied }) => applied)).toEqual([undefined, undefined]);
  expect(kinds).toEqual(["applied", "applied", "app", "app"]);
  crew.stop();
});

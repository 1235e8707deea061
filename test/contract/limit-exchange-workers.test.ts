import { CrewLimits } from "../../data-plane/workers/crew-limits.js";
import { readFromWorker, type ToWorker } from "../../data-plane/workers/messages.js";
import { WorkerLimits } from "../../data-plane/workers/worker-limits.js";
import { systemClock } from "../../runtime/clock.js";
import { LocalExchangeHub } from "../support/local-exchange.js";
import { describeLimitExchange } from "./limit-exchange.contract.js";

const count = 3;

/** Messages as they cross the line: copied, read and in their order. */
describeLimitExchange("limit reports between workers", async () => {
  const life = new AbortController();
  const workers: WorkerLimits[] = [];
  const told = {
    briefed: [...Array(count).keys()],
    say: (worker: number, message: ToWorker) => {
      const copy = structuredClone(message) as Parameters<WorkerLimits["take"]>[0];
      setImmediate(() => workers[worker]?.take(copy));
    },
  };
  const crew = new CrewLimits(told, new LocalExchangeHub().join("proxy", life.signal), systemClock);
  for (const worker of told.briefed) {
    const send = (message: unknown): void => {
      const read = readFromWorker(structuredClone(message));
      if (read.kind === "limits") setImmediate(() => crew.hear(worker, read.report, read.scope));
    };
    workers.push(new WorkerLimits(send, count));
    crew.brief(worker);
  }
  void crew.run(life.signal);
  return { members: workers, proxies: 1, lose: undefined, close: async () => life.abort() };
});

import { WorkersWorld } from "../support/ports-workers.js";
import { describeProxyPorts } from "./proxy-ports.contract.js";

/** Messages as they cross the line: copied, read and in their order. */
describeProxyPorts("ports of a worker", async () => {
  const workers = await WorkersWorld.open(2);
  const ports = workers.spawned[0]?.ports;
  if (ports === undefined) throw new Error("the worker did not start");
  return { world: workers.world, ports, close: () => workers.close() };
});

import { PortsWorld } from "../support/ports-world.js";
import { describeProxyPorts } from "./proxy-ports.contract.js";

describeProxyPorts("ports of a proxy that carries its calls itself", async () => {
  const world = await PortsWorld.open();
  return { world, ports: world.ports, close: () => world.close() };
});

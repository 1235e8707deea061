import { startTestNats } from "../support/nats.js";
import { natsPrograms } from "../support/nats-programs.js";
import { describeBus } from "./bus.contract.js";

for (const { name, program } of natsPrograms)
  describeBus(`a bus on ${name}`, async () => {
    const nats = await startTestNats({ streams: false, program });
    const pid = (): number => nats.servers[0]?.pid ?? 0;
    return {
      bootstrap: await nats.connect(await nats.bootstrapUser()),
      plane: await nats.connect(await nats.controlPlaneUser()),
      proxy: await nats.connect(await nats.proxyUser("payments", "p1")),
      lose: async () => {
        process.kill(pid(), "SIGKILL"); // the supervisor brings it back
      },
      restore: async () => {},
      close: () => nats.stop(),
    };
  });

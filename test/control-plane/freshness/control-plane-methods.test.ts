/** The list of control planes and NATS servers: a server is there if it greets, whatever others say of it. */
import { createServer } from "node:net";
import { expect, test } from "@jest/globals";
import { controlPlaneMethods } from "../../../control-plane/freshness/control-plane-methods.js";
import { listenOn } from "../../../runtime/listen.js";

const mesh = "m.test";

test("servers that were told, and those of the cluster, each once and with what it greets with", async () => {
  const server = createServer((socket) => socket.end('INFO {"server_name":"nats-1"}\r\n'));
  const gone = createServer();
  const [there, nobody] = [
    await listenOn(server, { host: "127.0.0.1", port: 0 }),
    await listenOn(gone, { host: "127.0.0.1", port: 0 }),
  ];
  await new Promise((resolve) => gone.close(resolve));
  const address = `127.0.0.1:${there.port}`;
  const { listControlPlanes } = controlPlaneMethods({
    mesh,
    audit: { record: async () => {} } as never,
    logins: { note: async () => {} },
    planes: { list: () => [{ name: "one", self: true, silent: false, heardAgoMs: 0 }] },
    bus: { connected: true, place: { address, others: [address, `127.0.0.1:${nobody.port}`] } },
    access: { servers: [`nats://${address}`] },
  });
  const context = { caller: `spiffe://${mesh}/operator/ann`, source: "test", method: "/x/ListControlPlanes" };
  const answer = await (listControlPlanes as { handle(request: object, context: object): Promise<unknown> }).handle(
    {},
    { ...context, signal: new AbortController().signal },
  );
  await new Promise((resolve) => server.close(resolve));
  expect(answer).toEqual({
    controlPlanes: [{ name: "one", self: true, silent: false, heardAgoMs: 0 }],
    natsServers: [
      { address, name: "nats-1", connected: true },
      { address: `127.0.0.1:${nobody.port}`, name: "", connected: false },
    ],
    natsConnected: true,
  });
});

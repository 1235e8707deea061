/** What compiles against the SDK and what must not: the compiler is the test, so nothing here runs. */
import { Client, Server } from "@grpc/grpc-js";
import { expect, test } from "@jest/globals";
import { callerOf, type ErrorCode, join, type Mesh, type RegistrationStatus } from "../../sdk/index.js";

async function compiles(): Promise<void> {
  const mesh: Mesh = await join({ service: "inventory" });
  await mesh.serve(new Server());
  await mesh.serve(new Server(), {
    instance: "one",
    onStatus: (status: RegistrationStatus) => console.log(status.kind),
  });
  const client: Client = new Client(...mesh.client("payments"));
  client.close();
  const ready: boolean = (await mesh.describe()).ready;
  const clean: boolean = await mesh.leave({ timeoutMs: 1000 });
  const code: ErrorCode = "unavailable";
  console.log(ready, clean, code, mesh.description.spiffeId);
  // @ts-expect-error a service has to be named
  await join({});
  // @ts-expect-error an agent is an address
  await join({ service: "inventory", agent: 7 });
  // @ts-expect-error a server is served, not its port
  await mesh.serve(8080);
  // @ts-expect-error the description is not for writing
  mesh.description.ready = true;
  // @ts-expect-error a caller is read from a call
  callerOf("call");
}

test("the SDK exports what the contract names", () => {
  expect([typeof join, typeof callerOf, typeof compiles]).toEqual(["function", "function", "function"]);
});

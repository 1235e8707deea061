import { existsSync, statSync } from "node:fs";
import { join as joinPath } from "node:path";
import { Client, credentials, Metadata, Server, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { callerOf, join, type Mesh, type RegistrationStatus } from "../../sdk/index.js";
import { until } from "../support/until.js";
import { createFakeAgent, type FakeAgent } from "./fake-agent.js";

const identity = (bytes: Buffer) => bytes;
const echo = {
  echo: {
    path: "/test.Echo/Echo",
    requestStream: false,
    responseStream: false,
    requestSerialize: identity,
    requestDeserialize: identity,
    responseSerialize: identity,
    responseDeserialize: identity,
  },
} as const;

type Handler = (request: Buffer, caller: string | undefined) => Promise<Buffer>;

function echoServer(handler: Handler = async (request) => request): Server {
  const server = new Server();
  server.addService(echo, {
    echo: (
      call: { request: Buffer; metadata: Metadata },
      callback: (error: null | { code: status; details: string }, value?: Buffer) => void,
    ) => {
      handler(call.request, callerOf(call)).then(
        (value) => callback(null, value),
        () => callback({ code: status.INTERNAL, details: "failed" }),
      );
    },
  });
  return server;
}

function callEcho(client: Client, text: string, metadata = new Metadata()): Promise<string> {
  return new Promise((resolve, reject) => {
    const { path } = echo.echo;
    client.makeUnaryRequest(path, identity, identity, Buffer.from(text), metadata, (error, value) =>
      error ? reject(error) : resolve(String(value)),
    );
  });
}

describe("the SDK with an agent on a real Unix socket", () => {
  let agent: FakeAgent;
  const meshes: Mesh[] = [];
  const clients: Client[] = [];

  const enter = async (): Promise<Mesh> => {
    const mesh = await join({ service: "inventory", agent: agent.target });
    meshes.push(mesh);
    return mesh;
  };
  const clientOf = (address: string): Client => {
    const client = new Client(address, credentials.createInsecure());
    clients.push(client);
    return client;
  };

  beforeEach(async () => {
    agent = await createFakeAgent("inventory");
    await agent.start();
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await Promise.all(meshes.splice(0).map((mesh) => mesh.leave({ timeoutMs: 100 })));
    await agent.remove();
  });

  test("serve binds a private socket, registers it, and calls reach the application", async () => {
    const mesh = await enter();
    await mesh.serve(echoServer(), { instance: "one" });
    const [registration] = agent.registrations;
    expect(registration).toMatchObject({ service: "inventory", instance: "one" });
    const path = registration?.address.slice("unix:".length) ?? "";
    expect(path.startsWith(agent.folder)).toBe(true);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(await callEcho(clientOf(`unix:${path}`), "hello")).toBe("hello");
  });

  test("callerOf reads the identity that the proxy set", async () => {
    const mesh = await enter();
    await mesh.serve(echoServer(async (_request, caller) => Buffer.from(String(caller))));
    const metadata = new Metadata();
    metadata.set("ashlar-caller", "spiffe://test/service/checkout");
    const client = clientOf(agent.registrations[0]?.address ?? "");
    expect(await callEcho(client, "who", metadata)).toBe("spiffe://test/service/checkout");
    expect(await callEcho(client, "who")).toBe("undefined");
  });

  test("a ping of the agent is answered", async () => {
    const mesh = await enter();
    await mesh.serve(echoServer());
    for (const stream of agent.streams) stream.write({ message: { $case: "ping", value: {} } });
    await until("the pong", () => agent.heard.includes("pong"));
  });

  test("a registration comes back by itself when the agent does", async () => {
    const seen: RegistrationStatus["kind"][] = [];
    const mesh = await enter();
    await mesh.serve(echoServer(), { onStatus: ({ kind }) => seen.push(kind) });
    agent.stop();
    await until("the loss", () => seen.includes("lost"));
    await agent.start();
    await until("the second registration", () => agent.registrations.length === 2);
    await until("the confirmation", () => seen.at(-1) === "registered");
    expect(agent.registrations[1]).toEqual(agent.registrations[0]);
    await mesh.leave();
    expect(seen.at(-1)).toBe("left");
  });

  test("leave loses no call: the agent drains first, the server stops after, and the socket is gone", async () => {
    let finish = () => {};
    const open = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const mesh = await enter();
    await mesh.serve(
      echoServer(async (request) => {
        await open;
        return request;
      }),
    );
    const address = agent.registrations[0]?.address ?? "";
    const answer = callEcho(clientOf(address), "last");
    agent.onLeave = (stream) => {
      finish();
      answer.then(() => stream.write({ message: { $case: "drained", value: {} } }));
    };
    expect(await mesh.leave()).toBe(true);
    expect(await answer).toBe("last");
    expect(existsSync(address.slice("unix:".length))).toBe(false);
    expect(agent.heard).toEqual(["registration", "leave"]);
    await until("the end of the registration", () => agent.streams.size === 0);
    expect(() => mesh.client("payments")).toThrow(/has left the mesh/);
  });

  test("a call that never ends is cancelled when the time to leave is over", async () => {
    const mesh = await enter();
    await mesh.serve(echoServer(() => new Promise(() => {})));
    const answer = callEcho(clientOf(agent.registrations[0]?.address ?? ""), "stuck").catch((error) => error.code);
    agent.onLeave = () => {};
    await until("the registration", () => agent.streams.size === 1);
    expect(await mesh.leave({ timeoutMs: 150 })).toBe(false);
    expect([status.CANCELLED, status.UNAVAILABLE]).toContain(await answer);
  });

  test("a refused registration is one clear error, and nothing stays bound", async () => {
    agent.refuseWith = { code: status.FAILED_PRECONDITION, details: "an application is registered already" };
    const mesh = await enter();
    await expect(mesh.serve(echoServer())).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining("refused the registration: an application is registered already"),
    });
    const path = (agent.registrations[0]?.address ?? "").slice("unix:".length);
    expect(existsSync(path)).toBe(false);
  });

  test("a busy agent is asked again until the time is over", async () => {
    agent.refuseWith = { code: status.UNAVAILABLE, details: "not ready" };
    const mesh = await enter();
    await expect(mesh.serve(echoServer(), { timeoutMs: 2000 })).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringContaining("within 2000 ms: not ready"),
    });
    expect(agent.registrations.length).toBeGreaterThan(1);
  });

  test("serving twice is refused", async () => {
    const mesh = await enter();
    await mesh.serve(echoServer());
    await expect(mesh.serve(echoServer())).rejects.toMatchObject({ code: "exists" });
  });

  test("a client gets the outbound socket and the service's name as authority", async () => {
    const mesh = await enter();
    const [address, , options] = mesh.client("payments");
    expect(address).toBe(`unix:${joinPath(agent.folder, "outbound.sock")}`);
    expect(options["grpc.default_authority"]).toBe("payments");
    expect(() => mesh.client("Pay ments")).toThrow(/not the name of a service/);
  });
});

describe("joining", () => {
  test("without an agent it says which variable to set", async () => {
    await expect(join({ service: "inventory", env: {} })).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining("ASHLAR_AGENT=unix:PATH"),
    });
  });

  test("without an agent socket it names the path and what to do", async () => {
    const agent = await createFakeAgent("inventory");
    const env = { ASHLAR_AGENT: agent.target };
    await expect(join({ service: "inventory", env, timeoutMs: 200 })).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringMatching(/^no agent socket at \/.*agent\.sock: start the proxy .* --agent unix:/),
    });
    await agent.remove();
  });

  test("it waits for a proxy that is still starting", async () => {
    const agent = await createFakeAgent("inventory");
    const joining = join({ service: "inventory", agent: agent.target });
    await agent.start();
    const mesh = await joining;
    expect(mesh.description).toMatchObject({ mesh: "test", version: "v1", ready: true });
    expect(await mesh.describe()).toEqual(mesh.description);
    await mesh.leave();
    await agent.remove();
  });

  test("a server of another copy of grpc-js is refused with what to do", async () => {
    const agent = await createFakeAgent("inventory");
    await agent.start();
    const foreign = { createInsecure: () => ({}) as never };
    const grpc = { ServerCredentials: foreign, credentials: foreign };
    const mesh = await join({ service: "inventory", agent: agent.target, grpc });
    await expect(mesh.serve(echoServer())).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining("pass yours: join({ service, grpc })"),
    });
    await mesh.leave();
    await agent.remove();
  });

  test("the proxy of another service is refused by name", async () => {
    const agent = await createFakeAgent("payments");
    await agent.start();
    await expect(join({ service: "inventory", agent: agent.target })).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining('serves "payments", not "inventory"'),
    });
    await agent.remove();
  });
});

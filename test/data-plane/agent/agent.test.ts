/** The agent socket, with the real SDK as its client. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { credentials, Server, ServerCredentials, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { agentDefaults, createAgentService } from "../../../data-plane/agent/agent-service.js";
import { type AgentEvent, newRegistration, step } from "../../../data-plane/agent/agent-state.js";
import { AppRegistry } from "../../../data-plane/agent/app-registry.js";
import { probeApplication } from "../../../data-plane/agent/probe-application.js";
import { runStaticApplication } from "../../../data-plane/agent/static-application.js";
import { dialApplication } from "../../../data-plane/proxy/dial.js";
import { AgentServiceClient, type RegisterResponse } from "../../../proto/gen/ashlar/v1/agent.js";
import { systemClock } from "../../../runtime/clock.js";
import { type GrpcServer, startGrpcServer } from "../../../runtime/grpc-server.js";
import { silentLogger } from "../../../runtime/log.js";
import { enterMesh } from "../../../sdk/mesh.js";
import { startByteServer } from "../../support/byte-service.js";
import { TestProcess } from "../../support/processes.js";
import { until } from "../../support/until.js";

describe("agent", () => {
  let dir: string;
  let registry: AppRegistry;
  let agent: GrpcServer;
  let finishDrain: () => void;
  let draining = 0;
  const logged: string[] = [];
  const note = (message: string): void => {
    logged.push(message);
  };
  const log = { ...silentLogger, info: note, warn: note };
  const clients: AgentServiceClient[] = [];
  const path = (name: string): string => join(dir, name);
  const grpc = { credentials, ServerCredentials };
  const settings = () => ({ service: "bytes", agent: `unix:${path("agent.sock")}`, timeoutMs: 5000, grpc });

  const startAgent = (leaseMs: number): Promise<GrpcServer> =>
    startGrpcServer({
      bind: `unix:${path("agent.sock")}`,
      credentials: ServerCredentials.createInsecure(),
      services: [
        createAgentService(
          {
            registry,
            clock: systemClock,
            direct: { follow: async function* () {}, issue: async () => [] },
            describe: () => ({
              mesh: "test",
              service: "bytes",
              version: "v1",
              proxyId: "proxy-1",
              outbound: `unix:${path("out.sock")}`,
              socketDir: dir,
              spiffeId: "spiffe://test/service/bytes",
              ready: true,
            }),
            drained: () => {
              draining += 1;
              return new Promise((resolve) => {
                finishDrain = resolve;
              });
            },
            log,
          },
          { ...agentDefaults, leaseMs, registrationsMax: 2 },
        ),
      ],
      log: silentLogger,
      clock: systemClock,
    });

  /** A registration by hand: what was answered, and how it ended. */
  const register = (address: string, service = "bytes") => {
    const client = new AgentServiceClient(`unix:${path("agent.sock")}`, credentials.createInsecure());
    clients.push(client);
    const stream = client.register();
    const said: string[] = [];
    const ended: { code: number; details: string }[] = [];
    stream.on("data", ({ message }: RegisterResponse) => said.push(message?.$case ?? ""));
    stream.on("error", () => {});
    stream.on("status", (result) => ended.push(result));
    stream.write({ message: { $case: "registration", value: { service, address, instance: "one" } } });
    return { stream, said, ended };
  };

  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), "agent-"));
    registry = new AppRegistry();
    draining = 0;
    logged.length = 0;
    agent = await startAgent(15_000);
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await agent.stop(0);
    rmSync(dir, { recursive: true, force: true });
  });

  test("an application registers through the SDK, and leaves only when no call is left", async () => {
    const mesh = await enterMesh(systemClock, settings());
    await mesh.serve(new Server());
    expect(registry.current?.instance).toBe("proxy-1");
    expect(registry.advertised).toBe(registry.current);
    const left = mesh.leave({ timeoutMs: 5000 });
    await until("it drains", () => draining === 1);
    expect(registry.advertised).toBeUndefined();
    expect(registry.current).toBeDefined();
    finishDrain();
    expect(await left).toBe(true);
    expect(registry.current).toBeUndefined();
    const [registered, leaves, out] = logged;
    expect([registered, out]).toEqual(["an application registered", "the application is out of routing"]);
    expect(leaves).toBe("the application leaves: its open calls may end");
  });

  test("an application whose stream ends is out at once", async () => {
    const { server } = await startByteServer(`unix:${path("app.sock")}`, {});
    const { stream, said } = register(`unix:${path("app.sock")}`);
    await until("it is registered", () => said.includes("registered"));
    stream.cancel();
    await until("it is out", () => registry.current === undefined);
    expect(logged).toEqual(["an application registered", "the application is out of routing"]);
    server.forceShutdown();
  });

  test("who says that it leaves and then closes its half is told when its last call has ended", async () => {
    const { server } = await startByteServer(`unix:${path("app.sock")}`, {});
    const { stream, said, ended } = register(`unix:${path("app.sock")}`);
    await until("it is registered", () => said.includes("registered"));
    stream.write({ message: { $case: "leave", value: {} } });
    stream.end();
    await until("it drains", () => draining === 1);
    await new Promise((resolve) => setTimeout(resolve, 50)); // the half-close has come by then
    expect(registry.current).toBeDefined();
    expect(registry.advertised).toBeUndefined();
    finishDrain();
    await until("it is over", () => ended.length === 1);
    expect(said).toEqual(["registered", "drained"]);
    expect(ended[0]?.code).toBe(status.OK);
    expect(registry.current).toBeUndefined();
    server.forceShutdown();
  });

  test("an application whose process is stopped stays registered, and is out as soon as it ends", async () => {
    await agent.stop(0);
    agent = await startAgent(300);
    const app = new TestProcess("app", process.execPath, [
      ...["test/support/echo-app.mjs", "--agent", `unix:${path("agent.sock")}`, "--service", "bytes"],
    ]);
    try {
      await app.said("ready");
      const registered = registry.current;
      const before = logged.length;
      app.child.kill("SIGSTOP");
      await until("the log says that it is silent", () =>
        logged.slice(before).some((line) => line.includes("has not answered")),
      );
      const waited = logged.length;
      expect(registry.current).toBe(registered);
      expect(await probeApplication(registered?.target ?? { path: "" })).toEqual({ kind: "accepts" });
      app.child.kill("SIGCONT");
      await until("the log says that it answers", () => logged.length > waited);
      expect(logged[waited]).toContain("answers again");
      expect(registry.current).toBe(registered);
      expect(registry.advertised).toBe(registered);
      app.child.kill("SIGSTOP");
      app.child.kill("SIGKILL");
      await until("it is out", () => registry.current === undefined);
    } finally {
      app.child.kill("SIGKILL");
      await app.exited;
    }
  });

  test("silence is told once in the log, and takes no application out", () => {
    const leaseMs = 15_000;
    let state = step(
      step(newRegistration, { kind: "registration" }, leaseMs).state,
      { kind: "reachable", nowMs: 0 },
      0,
    ).state;
    const effects: string[] = [];
    const happen = (event: AgentEvent): void => {
      const next = step(state, event, leaseMs);
      state = next.state;
      effects.push(...next.effects.map(({ kind }) => kind));
    };
    for (let nowMs = 0; nowMs <= 120_000; nowMs += leaseMs / 10) happen({ kind: "tick", nowMs, lostMs: 0 });
    expect(effects).toEqual(["ping", "warn-silent"]);
    expect(state.kind).toBe("registered");
    happen({ kind: "pong", nowMs: 120_000 });
    expect(effects.at(-1)).toBe("say-heard");
    happen({ kind: "pong", nowMs: 121_000 });
    expect(effects).toHaveLength(3);
  });

  test("an application is not blamed for what its proxy had no time to read", () => {
    const leaseMs = 15_000;
    const state = { kind: "registered", heardMs: 0, pinged: true, toldSilent: false } as const;
    expect(step(state, { kind: "tick", nowMs: 60_000, lostMs: 58_500 }, leaseMs).effects).toEqual([]);
    expect(step(state, { kind: "tick", nowMs: 60_000, lostMs: 0 }, leaseMs).effects).toHaveLength(1);
  });

  test("a socket that refuses a call takes the application out and tells it", async () => {
    const { server } = await startByteServer(`unix:${path("app.sock")}`, {});
    const { ended } = register(`unix:${path("app.sock")}`);
    await until("it is registered", () => registry.current !== undefined);
    if (registry.current !== undefined) registry.reportRefused(registry.current);
    expect(registry.current).toBeUndefined();
    await until("it is told", () => ended.length === 1);
    expect(ended[0]?.code).toBe(status.UNAVAILABLE);
    server.forceShutdown();
  });

  test("a socket that cannot be reached is not registered, and trying again may help", async () => {
    const { ended } = register(`unix:${path("nothing.sock")}`);
    await until("it is refused", () => ended.length === 1);
    expect(ended[0]?.code).toBe(status.UNAVAILABLE);
    expect(registry.current).toBeUndefined();
  });

  for (const [name, service, address, code] of [
    ["another service", "other", "unix:/x", status.FAILED_PRECONDITION],
    ["an address that others can reach", "bytes", "10.0.0.1:80", status.INVALID_ARGUMENT],
    ["an address that is none", "bytes", "nonsense", status.INVALID_ARGUMENT],
  ] as const) {
    test(`a registration with ${name} is refused for good`, async () => {
      const { ended } = register(address, service);
      await until("it is refused", () => ended.length === 1);
      expect(ended[0]?.code).toBe(code);
    });
  }

  test("I8: more registrations than there may be are refused, and ended ones count no more", async () => {
    const { server } = await startByteServer(`unix:${path("app.sock")}`, {});
    const address = `unix:${path("app.sock")}`;
    const [first, second] = [register(address), register(address)];
    await until("both are in", () => first.said.length + second.said.length === 2);
    const third = register(address);
    await until("it is refused", () => third.ended.length === 1);
    expect(third.ended[0]?.code).toBe(status.RESOURCE_EXHAUSTED);
    first.stream.cancel();
    second.stream.cancel();
    await until("they are out", () => registry.current === undefined);
    const fourth = register(address);
    await until("it is in", () => fourth.said.length === 1);
    server.forceShutdown();
  });

  test("the application of --app is out when its socket is gone, and comes back with it", async () => {
    const stop = new AbortController();
    const waits: (() => void)[] = [];
    const clock = { ...systemClock, sleep: () => new Promise<void>((resolve) => waits.push(resolve)) };
    const next = (): void => waits.shift()?.();
    const app = { instance: "static", target: { path: path("app.sock") } };
    const running = runStaticApplication({ registry, clock, log: silentLogger }, app, stop.signal);
    await until("it was tried", () => waits.length === 1);
    expect(registry.current).toBeUndefined();
    const first = await startByteServer(`unix:${path("app.sock")}`, {});
    next();
    await until("it is in", () => registry.current === app);
    registry.reportRefused(app);
    expect(registry.current).toBeUndefined();
    next();
    await until("it is in again", () => registry.current === app);
    first.server.forceShutdown();
    await until("nobody listens", () => waits.length === 1);
    expect(await probeApplication(app.target)).toMatchObject({ kind: "gone" });
    next();
    await until("it is out", () => registry.current === undefined);
    stop.abort();
    next();
    await running;
  });

  test("the application of --app stays while its process accepts nothing: a full backlog is no refusal", async () => {
    const stop = new AbortController();
    const waits: (() => void)[] = [];
    const clock = { ...systemClock, sleep: () => new Promise<void>((resolve) => waits.push(resolve)) };
    const app = { instance: "static", target: { path: path("app.sock") } };
    // Python's listen(1) in a process that never accepts: the second connection to wait fills the backlog.
    const script = `import socket,sys; s=socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(1)
print("ready", flush=True); sys.stdin.read(1); s.accept(); s.accept(); print("accepted", flush=True); sys.stdin.read()`;
    const busy = new TestProcess("busy", "python3", ["-c", script, app.target.path]);
    try {
      await busy.said("ready");
      const running = runStaticApplication({ registry, clock, log: silentLogger }, app, stop.signal);
      const tries: string[] = [];
      while (tries.at(-1) !== "silent") {
        await until("it was tried", () => waits.length === 1);
        expect(registry.current).toBe(app);
        tries.push((await probeApplication(app.target)).kind);
        waits.shift()?.();
      }
      await until("it was tried again", () => waits.length === 1);
      expect(registry.current).toBe(app);
      const dialled = dialApplication(app.target);
      busy.child.stdin?.write("x");
      const socket = await dialled;
      socket.destroy();
      stop.abort();
      waits.shift()?.();
      await running;
    } finally {
      busy.child.kill("SIGKILL");
      await busy.exited;
    }
  });
});

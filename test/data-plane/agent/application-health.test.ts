import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { afterEach, describe, expect, test } from "@jest/globals";
import { HealthImplementation } from "grpc-health-check";
import type { Health } from "../../../core/kinds/resilience/resilience.js";
import { AppRegistry } from "../../../data-plane/agent/app-registry.js";
import { healthDefaults, runApplicationHealth } from "../../../data-plane/agent/application-health.js";
import { type AskedHealth, HealthAsker } from "../../../data-plane/agent/ask-health.js";
import type { Probed } from "../../../data-plane/agent/probe-application.js";
import { silentLogger } from "../../../runtime/log.js";
import { ManualClock } from "../../support/manual-clock.js";

const app = { instance: "one", target: { path: "/nowhere" } };
const failed: AskedHealth = { kind: "failed", why: "no answer" };
const serving: AskedHealth = { kind: "serving" };
const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

/** A registered application whose answers are set, and checks of it on a clock that is set. */
function watch(policy: Partial<Health> | undefined, answer: AskedHealth = serving) {
  const registry = new AppRegistry();
  registry.register(app, () => {});
  const clock = new ManualClock();
  const stop = new AbortController();
  stops.push(() => stop.abort());
  const world = {
    registry,
    answer,
    probed: { kind: "accepts" } as Probed,
    policy: policy && ({ ...healthDefaults, ...policy } as Health),
    asked: 0,
    /** Lets time pass in small steps, so that each timer is met. */
    async pass(ms: number): Promise<void> {
      for (let passed = 0; passed < ms; passed += 100) {
        clock.advance(100);
        for (let turn = 0; turn < 20; turn++) await Promise.resolve();
      }
    },
  };
  const asker = {
    ask: async () => {
      world.asked++;
      return world.answer;
    },
    close: () => {},
  };
  const deps = { registry, clock, log: silentLogger, policy: () => world.policy, probe: async () => world.probed };
  void runApplicationHealth({ ...deps, connectAsker: () => asker }, stop.signal);
  return world;
}

describe("without policy", () => {
  test("an application that has answered and stops to is out after three checks, and back after two", async () => {
    const world = watch(undefined);
    await world.pass(3000);
    world.answer = failed;
    await world.pass(7000); // the bound that docs state: interval and three checks, each a second after the last
    expect(world.registry.unhealthy).toBe("it failed its health checks: no answer");
    world.answer = serving;
    await world.pass(3500);
    expect(world.registry.unhealthy).toBe("");
  });

  test("one that never answered, or has no grpc.health.v1, is not held to it", async () => {
    const silent = watch(undefined, failed);
    await silent.pass(30_000);
    expect(silent.registry.unhealthy).toBe("");
    const without = watch(undefined, { kind: "unimplemented" });
    await without.pass(20_000);
    expect([without.registry.unhealthy, without.asked]).toEqual(["", 1]);
  });

  test("one that answers whatever it is asked, and never SERVING, is not held to it", async () => {
    const world = watch(undefined, { kind: "unclear", why: "it says UNKNOWN" });
    await world.pass(30_000);
    expect(world.registry.unhealthy).toBe("");
  });

  test("one that says it does not serve is believed though it never said otherwise", async () => {
    const world = watch(undefined, { kind: "not-serving", why: "it says NOT_SERVING" });
    await world.pass(7000);
    expect(world.registry.unhealthy).toMatch(/NOT_SERVING/);
  });
});

describe("by policy", () => {
  test("one that is to be asked and does not answer is out though it never answered", async () => {
    const world = watch({ grpc: "shop.Store" }, failed);
    await world.pass(7000);
    expect(world.registry.unhealthy).toMatch(/no answer/);
  });

  test("connecting is enough where policy says so", async () => {
    const world = watch({ connect: true });
    world.probed = { kind: "silent", why: "no answer within 1 s" };
    await world.pass(7000);
    expect([world.registry.unhealthy, world.asked]).toEqual(["it failed its health checks: no answer within 1 s", 0]);
  });

  test("off asks nothing, and what was said before does not count any more", async () => {
    const world = watch({ grpc: "" }, failed);
    await world.pass(7000);
    expect(world.registry.unhealthy).not.toBe("");
    world.policy = { ...healthDefaults, off: true };
    await world.pass(2000);
    const { asked } = world;
    await world.pass(60_000);
    expect([world.registry.unhealthy, world.asked]).toEqual(["", asked]);
  });
});

test("a real gRPC server is asked by the health protocol", async () => {
  const folder = mkdtempSync(join(tmpdir(), "ashlar-health-"));
  const target = { path: join(folder, "app.sock") };
  const health = new HealthImplementation({ "": "SERVING", "shop.Store": "NOT_SERVING" });
  const servers = [new Server(), new Server()];
  health.addToServer(servers[0] as Server);
  const bind = (server: Server, path: string) =>
    new Promise<void>((resolve, reject) =>
      server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) =>
        error ? reject(error) : resolve(),
      ),
    );
  const bare = { path: join(folder, "bare.sock") };
  const askers = [target, bare, { path: join(folder, "nobody.sock") }].map((one) => new HealthAsker(one));
  try {
    await bind(servers[0] as Server, target.path);
    await bind(servers[1] as Server, bare.path);
    const { signal } = new AbortController();
    const [real, other, nobody] = askers as [HealthAsker, HealthAsker, HealthAsker];
    expect(await real.ask("", 2000, signal)).toEqual({ kind: "serving" });
    expect(await real.ask("shop.Store", 2000, signal)).toEqual({ kind: "not-serving", why: "it says NOT_SERVING" });
    expect((await real.ask("shop.Other", 2000, signal)).kind).toBe("unclear");
    expect(await other.ask("", 2000, signal)).toEqual({ kind: "unimplemented" });
    expect((await nobody.ask("", 2000, signal)).kind).toBe("failed");
  } finally {
    for (const asker of askers) asker.close();
    for (const server of servers) server.forceShutdown();
    rmSync(folder, { recursive: true });
  }
});

/** A staged activation in a real mesh: a bad revision is caught in its first stage, a good one goes all the way. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall, services, split } from "../support/echo-policy.js";
import { TestMesh } from "../support/mesh.js";
import { until } from "../support/until.js";

const instances = 5;
let mesh: TestMesh;
let client: EchoClient;

beforeAll(async () => {
  mesh = await TestMesh.start();
  const names = Array.from({ length: instances }, (_, index) => `echo${index + 1}`);
  const [front, ...echoes] = await Promise.all([
    mesh.proxy({ name: "front", service: "front", flags: ["--label", "canary=true"] }),
    ...names.map((name) => mesh.proxy({ name, service: "echo" })),
  ]);
  await Promise.all(echoes.map((echo) => mesh.app(echo, "echo")));
  await mesh.apply(frontMayCall, "-m", "front may call");
  await mesh.healthy("echo", instances);
  client = new EchoClient(front.outbound, "echo");
}, 240_000);

afterEach(async () => {
  await Promise.all(loads.splice(0).map((load) => load.end()));
});

afterAll(async () => {
  client?.close();
  await mesh?.stop();
}, 240_000);

interface Load {
  readonly codes: number[];
  /** Resolves when every call that is open now is answered. */
  turn(): Promise<void>;
  /** Stops it and gives what came back. */
  end(): Promise<readonly number[]>;
}

const loads: Load[] = [];

/** Calls one after the other in a few lanes, until it is ended. */
function startLoad(): Load {
  const codes: number[] = [];
  let going = true;
  const rounds = [0, 0, 0, 0];
  const lanes = rounds.map(async (_, lane) => {
    while (going) {
      codes.push((await client.unary({ text: "x" })).code);
      rounds[lane] = (rounds[lane] ?? 0) + 1;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });
  const load: Load = {
    codes,
    turn: async () => {
      const before = [...rounds];
      await until("each lane was answered", () => rounds.every((count, lane) => count > (before[lane] ?? 0)));
    },
    end: async () => {
      going = false;
      await Promise.all(lanes);
      return codes;
    },
  };
  loads.push(load);
  return load;
}

const rollout = (number?: number) =>
  mesh.json(0, "rollout", "status", ...(number === undefined ? [] : [String(number)]));

/** What a watching operator sees last: the rollout has ended; `code` is 1 unless it ended well. */
const ended = (number: number, code: number) =>
  mesh.json(code, "rollout", "status", String(number), "--watch", "--timeout", "60s");

/** Nobody who calls may call. */
const bad = `${services}---
kind: Authorization
name: strangers-call-echo
service: echo
allow:
  - from: [stranger]
`;

test("stages that make no sense are refused with one line and change nothing", async () => {
  const file = mesh.policy("any.yaml", split({ v1: 100 }));
  for (const [stages, why] of [
    ["1,10%", /the last stage has to be 100%/],
    ["50%,10%,100%", /have to grow/],
    ["half,100%", /expected a number of proxies/],
  ] as const) {
    const done = await mesh.cli("apply", "-f", file, "--stages", stages);
    expect([done.code, done.stderr.trim().split("\n").length]).toEqual([2, 1]);
    expect(done.stderr).toMatch(why);
  }
  const nobody = await mesh.cli("activate", "1", "--stages", "label:canary=no,100%");
  expect(nobody.code).toBe(0); // it is active already, so there is nothing to do
  expect(await mesh.json(0, "status")).toMatchObject({ epoch: 1, revision: 1, headRevision: 1 });
  expect(await mesh.json(0, "rollout", "list")).toEqual([]);
}, 240_000);

test("a bad revision is caught by its gate at the first stage, and rolled back by itself with the reason", async () => {
  const load = startLoad();
  await until("calls flow", () => load.codes.length > 200);
  expect(load.codes.every((code) => code === status.OK)).toBe(true);
  const from = load.codes.length;
  const file = mesh.policy("bad.yaml", bad);
  const begun = await mesh.json(0, "apply", "-f", file, "--stages", "1,50%,100%", "--hold", "20s", "-m", "tighten");
  expect(begun).toMatchObject({
    revision: 2,
    epoch: 2,
    rollout: { number: 1, state: "running", stage: 1, candidate: 2, base: 1 },
  });
  const late = await mesh.json(0, "status");
  expect(late.revision).toBe(1); // the mesh's revision is the base until the end

  const done = await ended(1, 1);
  expect(done).toMatchObject({ state: "rolled-back", epochs: [2], end: { epoch: 3 } });
  expect(done.end?.author).toMatch(/\/control-plane\//);
  expect(done.end?.reason).toMatch(
    /gate "refused" at stage 1 of 3: echo: \d+ of \d+ calls refused .* against 0 of \d+/,
  );
  await mesh.json(0, "wait", "--epoch", "3");
  await load.turn();
  const after = load.codes.length;
  await until("calls flow on", () => load.codes.length > after + 100);
  const codes = await load.end();
  expect(codes.slice(after).filter((code) => code !== status.OK)).toEqual([]); // the base is in force everywhere again

  const during = codes.slice(from, after);
  const refused = during.filter((code) => code === status.PERMISSION_DENIED).length;
  console.info(`refused: ${refused} of ${during.length} calls between apply and rollback, one proxy of ${instances}`);
  expect(during.filter((code) => code !== status.OK && code !== status.PERMISSION_DENIED)).toEqual([]);
  expect(refused).toBeGreaterThan(0);
  expect(refused / during.length).toBeLessThan(1.5 / instances); // one proxy of five, and some for the draw

  const audit: { action: string; actor: string; detail: string }[] = await mesh.json(0, "audit");
  expect(audit.map(({ action }) => action)).toEqual(expect.arrayContaining(["rollout", "rollback"]));
  expect(audit.find(({ action }) => action === "rollback")).toMatchObject({
    detail: expect.stringContaining('gate "refused"'),
  });
  expect(await mesh.json(0, "status")).toMatchObject({ epoch: 3, revision: 1, headRevision: 2 });
}, 240_000);

test("a good revision goes through its stages although the control plane is killed in between", async () => {
  const file = mesh.policy("good.yaml", split({ v1: 100 }));
  const flags = ["--stages", "label:canary=true,3,100%", "--hold", "3s", "--gate", "samples=10"];
  const begun = await mesh.json(0, "apply", "-f", file, ...flags);
  expect(begun).toMatchObject({ revision: 3, epoch: 4, rollout: { number: 2, stage: 1 } });
  expect(await mesh.json(0, "rollout", "pause")).toEqual({ epoch: 5, revision: 3 }); // to look around in peace
  const load = startLoad(); // not before: without samples the first stage holds, however long that took

  await mesh.json(0, "wait", "--epoch", "5");
  const proxies: { revision: number; epoch: number; active: boolean }[] = await mesh.json(0, "proxies");
  expect(proxies.filter((proxy) => proxy.revision === 3)).toHaveLength(1);
  expect(proxies.every((proxy) => proxy.epoch === 5 && proxy.active)).toBe(true);
  expect(await mesh.json(0, "can", "front", "echo/test.Echo/Unary")).toMatchObject({
    allowed: true,
    revision: 1,
    epoch: 5,
    reason: expect.stringContaining("under revision 3 it is allowed"),
  });
  const log: { number: number; active: boolean; rollout?: number }[] = await mesh.json(0, "log");
  expect(log.filter(({ active }) => active).map(({ number }) => number)).toEqual([1]);
  expect(log.find(({ number }) => number === 3)).toMatchObject({ rollout: 2 });

  const joined = await mesh.proxy({ name: "echo6", service: "echo" }); // it evaluates what the head says for it
  await until("the proxy that joined evaluates the base", async () => {
    const all = await mesh.ask(async (admin) => (await admin.listProxies({})).proxies);
    return all.filter((each) => each.active && each.epoch === 5 && each.revision === 1).length === instances + 1;
  });
  await joined.process.stop();
  await until("it is gone", async () => (await mesh.json(0, "proxies")).length === instances + 1);
  // the control plane that is killed below saves its roster every few seconds: with an older one it would miss who left
  const leftMs = Date.now();
  await until("its leave is on disk", () => statSync(join(mesh.data, "roster.json")).mtimeMs > leftMs);

  const busy = await mesh.cli("activate", "2");
  expect(busy.code).toBe(1);
  expect(busy.stderr).toMatch(/rollout 2 of revision 3 is paused at stage 1/);
  const late = await mesh.cli("activate", "3", "--stages", "1,100%");
  expect(late.stderr).toMatch(/--end-rollout/);

  expect(await mesh.json(0, "rollout", "resume")).toEqual({ epoch: 6, revision: 3 });
  await mesh.up.stop("SIGKILL");
  await mesh.startUp().said("ready", 60_000);
  const done = await ended(2, 0);
  expect(done.state).toBe("done");
  expect(done.epochs).toEqual([4, 5, 6, 7, 8]);
  await mesh.json(0, "wait", "--epoch", "8", "--timeout", "30s");
  expect(await mesh.json(0, "status")).toMatchObject({
    epoch: 8,
    revision: 3,
    proxies: { active: instances + 1, behind: 0 },
  });
  const codes = await load.end();
  expect(codes.filter((code) => code !== status.OK)).toEqual([]);
  const audit: { action: string }[] = await mesh.json(0, "audit");
  expect(audit.filter(({ action }) => action === "stage")).toHaveLength(2);
}, 240_000);

test("a rollout is paused, resumed and ended by an operator, each as an epoch; a rollback in the middle ends it at once", async () => {
  const file = mesh.policy("other.yaml", frontMayCall);
  const quiet = ["--stages", "2,100%", "--hold", "1s"]; // no calls: what is missing holds the stage
  expect(await mesh.json(0, "apply", "-f", file, ...quiet)).toMatchObject({ revision: 4, epoch: 9 });
  expect(await mesh.json(0, "rollout", "pause", "-m", "lunch")).toEqual({ epoch: 10, revision: 4 });
  const twice = await mesh.cli("rollout", "pause");
  expect([twice.code, twice.stderr]).toEqual([1, "ashlar: rollout 3 is paused already\n"]);
  const paused = await rollout();
  expect(paused).toMatchObject({ number: 3, state: "paused" });
  expect(paused.waitsFor).toEqual(expect.arrayContaining(["somebody to resume it"]));
  expect(await mesh.json(0, "rollout", "resume")).toEqual({ epoch: 11, revision: 4 });
  let held = await rollout();
  expect(held).toMatchObject({ state: "running", stage: 1 });
  await until(
    "the members have switched, and calls are what is missing",
    async () => {
      held = await rollout();
      return /samples: calls of front to echo .*: 0 of 20 judged by members/.test(JSON.stringify(held.waitsFor));
    },
    15_000,
    () => JSON.stringify(held),
  );
  expect(held).toMatchObject({ state: "running", stage: 1 });
  expect(await mesh.json(0, "rollout", "abort", "-m", "enough")).toEqual({ epoch: 12, revision: 3 });
  expect(await rollout(3)).toMatchObject({
    state: "rolled-back",
    end: { epoch: 12, reason: "rollout 3: abort: enough" },
  });
  expect((await mesh.cli("rollout", "abort")).stderr).toBe("ashlar: no rollout runs, so there is nothing to abort\n");

  expect(await mesh.json(0, "activate", "4", ...quiet)).toMatchObject({ epoch: 13 });
  const same = await mesh.cli("rollback", "--to", "4");
  expect([same.code, same.stderr]).toEqual([1, expect.stringMatching(/revision 4 is what rollout 4 brings/)]);
  expect(await mesh.json(0, "rollback", "--wait")).toMatchObject({ revision: 3, epoch: 14, rollbackOf: 4, behind: [] });
  expect(await rollout(4)).toMatchObject({ state: "rolled-back" });
  expect(await mesh.json(0, "rollback", "--wait")).toMatchObject({ revision: 1, rollbackOf: 3 }); // what never was everyone's is no step
}, 240_000);

test("of two that apply at once, the newer revision is active in the end", async () => {
  const files = [split({ v1: 1 }), split({ v1: 2 })].map((text, index) => mesh.policy(`race${index}.yaml`, text));
  const outcomes = await Promise.all(files.map((file) => mesh.cli("apply", "-f", file, "-o", "json")));
  const { revision, headRevision } = await mesh.json(0, "status");
  expect(revision).toBe(headRevision);
  for (const { code, stderr } of outcomes) if (code !== 0) expect(stderr).toMatch(/somebody else was first/);
  expect(outcomes.some(({ code }) => code === 0)).toBe(true);
}, 240_000);

test("a stage looks at the service whose policy differs, whatever was changed and changed back in between", async () => {
  const before = await mesh.json(0, "status");
  const file = (name: string, content: string) => mesh.policy(name, content);
  const others = `${frontMayCall}---\nkind: Authorization\nname: strangers-call-front\nservice: front\nallow: [{ from: [stranger] }]\n`;
  await mesh.json(0, "apply", "-f", file("others.yaml", others), "--no-activate");
  const load = startLoad();
  await until("calls flow", () => load.codes.length > 200);
  const denied = await mesh.json(0, "apply", "-f", file("denied.yaml", bad), "--stages", "1,100%", "--hold", "1s");
  const proxies: { service: string; revision: number }[] = await mesh.json(0, "proxies");
  const chosen = proxies.filter(({ revision }) => revision === denied.revision).map(({ service }) => service);
  expect(chosen.every((service) => service === "echo")).toBe(true);
  const done = await ended(denied.rollout.number, 1);
  expect(done).toMatchObject({ state: "rolled-back", epochs: [denied.epoch] });
  expect(done.end?.reason).toMatch(/gate "refused" at stage 1 of 2: echo: \d+ of \d+ calls refused/);
  const refused = (await load.end()).filter((code) => code === status.PERMISSION_DENIED).length;
  expect(refused).toBeGreaterThan(0);
  expect(await mesh.json(0, "status")).toMatchObject({ revision: before.revision });
}, 240_000);

test("a stage without calls that the change is about says what it lacks, and goes on at an operator's word", async () => {
  const begun = await mesh.json(
    0,
    "apply",
    "-f",
    mesh.policy("denied.yaml", bad),
    "--stages",
    "1,100%",
    "--hold",
    "1s",
  );
  await until("the stage says what it lacks", async () => {
    const { waitsFor } = await rollout();
    return /calls to echo from front \([^)]*\): 0 of 20 judged by members/.test(waitsFor.join("; "));
  });
  expect((await rollout()).about.join("; ")).toMatch(/calls to echo from front \(.*test\.Echo\/Unary\)/);
  await mesh.json(0, "rollout", "advance", "-m", "a quiet night");
  expect(await rollout(begun.rollout.number)).toMatchObject({ state: "done" });
  await mesh.json(0, "rollback", "--wait");
}, 240_000);

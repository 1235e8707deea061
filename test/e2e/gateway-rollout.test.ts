/** Clients outside while policy changes: a candidate beside the active revision, and a staged activation with two gateways. */
import { writeFileSync } from "node:fs";
import { type ClientHttp2Session, connect } from "node:http2";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { cliPath, TestProcess } from "../support/processes.js";
import { until } from "../support/until.js";
import { startWebMesh, type WebMesh, webListener, webPolicy } from "../support/web-mesh.js";

const policy = webPolicy(webListener("web")).replace(
  "ServerStream, test.Echo/ClientStream, test.Echo/Bidi] }]",
  "ClientStream] }]",
);
let web: WebMesh;
let second: TestProcess;
const sessions: ClientHttp2Session[] = [];

beforeAll(async () => {
  web = await startWebMesh(policy, () => ["--listener", "web=127.0.0.1:0"]);
  const { mesh } = web;
  const { token } = await mesh.json(0, "token", "--gateway", "public");
  writeFileSync(join(mesh.dir, "second.token"), token);
  second = new TestProcess("second", process.execPath, [
    ...[cliPath, "gateway", "--name", "public", "--token", join(mesh.dir, "second.token")],
    ...["--join", join(mesh.data, "join.json"), "--data", join(mesh.dir, "second"), "--listener", "web=127.0.0.1:0"],
  ]);
  await second.said("ready");
  for (const address of [web.addresses.web, /web=(\S+)/.exec(second.stdout)?.[1]])
    sessions.push(connect(`http://${address}`).on("error", () => {}));
}, 120_000);

afterAll(async () => {
  for (const session of sessions) session.destroy();
  await second?.stop();
  await web?.stop();
}, 60_000);

/** Calls at a gateway. Returns the status. */
function call(session: ClientHttp2Session | undefined, method = "Unary"): Promise<string> {
  return new Promise((resolve, reject) => {
    if (session === undefined) throw new Error("no connection");
    const sent = session.request({
      ...{ ":method": "POST", ":path": `/test.Echo/${method}`, "content-type": "application/grpc", te: "trailers" },
    });
    const take = (fields: object): void => {
      const found = (fields as Record<string, unknown>)["grpc-status"];
      if (found !== undefined) resolve(String(found));
    };
    sent.on("response", take).on("trailers", take).on("error", reject).resume();
    sent.end(Buffer.alloc(5));
  });
}

const both = (method?: string): Promise<readonly string[]> =>
  Promise.all(sessions.map((session) => call(session, method)));

test("a shadow counts the calls of clients outside, as those of their gateway", async () => {
  const { mesh } = web;
  const candidate = policy.replace("from: [gateway/public]", "from: [stranger]");
  await mesh.json(0, "apply", "-f", mesh.policy("candidate.yaml", candidate), "--no-activate");
  await mesh.json(0, "shadow", "start", "2");
  const echo = async () => {
    const { services } = await mesh.json(0, "shadow", "status");
    return services.find(({ service }: { service: string }) => service === "echo");
  };
  await until("the service's proxy asks it", async () => (await echo())?.running === 1);
  for (let made = 0; made < 3; made++) expect(await both()).toEqual(["0", "0"]);
  await until("the flips are counted", async () => (await echo()).wouldDeny === 6, 30_000);
  expect((await echo()).flips).toMatchObject([{ caller: "spiffe://test/gateway/public", wouldDeny: 6 }]);
  await mesh.json(0, "shadow", "stop");
}, 120_000);

/** Calls at both gateways until it is ended. */
function startLoad(): { readonly codes: string[]; end(): Promise<void> } {
  const codes: string[] = [];
  let isGoing = true;
  const lanes = sessions.map(async (session) => {
    while (isGoing) {
      codes.push(await call(session));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  });
  return {
    codes,
    async end() {
      isGoing = false;
      await Promise.all(lanes);
    },
  };
}

test("a change of what a gateway exposes goes over one of them to both, by the calls that they let in", async () => {
  const { mesh } = web;
  expect(await both("ServerStream")).toEqual(["12", "12"]);
  const load = startLoad();
  await until("calls flow", () => load.codes.length > 100);
  const exposed = policy.replace("test.Echo/ClientStream] }]", "test.Echo/ClientStream, test.Echo/ServerStream] }]");
  const applied = await mesh.json(
    0,
    "apply",
    "-f",
    mesh.policy("exposed.yaml", exposed),
    "--stages",
    "1,100%",
    "--hold",
    "8s",
  );
  expect(applied.revision).toBe(3);
  const seen = new Set<string>();
  await until(
    "one gateway exposes it, and the other does not",
    async () => {
      seen.add([...(await both("ServerStream"))].sort().join());
      return seen.has("0,12");
    },
    20_000,
    () => [...seen].join(" "),
  );
  const { stdout } = await mesh.cli("rollout", "status", "1");
  expect(stdout).toMatch(/changes .*gateway\/public/s);
  const ended = await mesh.json(0, "rollout", "status", "1", "--watch", "--timeout", "60s");
  expect(ended).toMatchObject({ state: "done" });
  await until("both expose it", async () => (await both("ServerStream")).join() === "0,0");
  await load.end();
  expect(load.codes.filter((code) => code !== "0")).toEqual([]);
}, 120_000);

test("a change that shuts clients out at a gateway is caught at the first one, and rolled back", async () => {
  const { mesh } = web;
  const load = startLoad();
  await until("calls flow", () => load.codes.length > 200);
  const shut = policy.replace("callers: { anyone: true }", "callers: { token: [accounts] }");
  await mesh.json(0, "apply", "-f", mesh.policy("shut.yaml", shut), "--stages", "1,100%", "--hold", "20s");
  const ended = await mesh.json(1, "rollout", "status", "2", "--watch", "--timeout", "60s");
  expect(ended).toMatchObject({ state: "rolled-back" });
  await until("both let clients in", async () => (await both()).join() === "0,0");
  await load.end();
  const codes = new Set(load.codes);
  expect(codes).toEqual(new Set(["0", "16"]));
}, 120_000);

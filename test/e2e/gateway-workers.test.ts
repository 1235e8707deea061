/** A gateway with workers: limits of an address over all of them, its certificates in each, a worker that is killed, a successor. */
import { spawnSync } from "node:child_process";
import { renameSync, writeFileSync } from "node:fs";
import { type ClientHttp2Session, connect } from "node:http2";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { dnsName, extendedUsage } from "../support/certificates.js";
import { freePort } from "../support/free-ports.js";
import { authority, leafOf, pem } from "../support/outside-provider.js";
import { cliPath, TestProcess } from "../support/processes.js";
import { until } from "../support/until.js";
import { startWebMesh, type WebMesh, webListener, webPolicy } from "../support/web-mesh.js";

const limits = ", limits: { connectionsPerAddress: 6, handshakesPerAddress: 1000/s, callsPerAddress: 30/m }";
const cas = [authority("servers"), authority("next servers")] as const;
const ca = cas.map((one) => pem(one)).join("");

let web: WebMesh;
let statusPort: number;
const sessions: ClientHttp2Session[] = [];

function store(dir: string, index: 0 | 1): void {
  const made = leafOf(cas[index], extendedUsage.server, dnsName("shop.example"));
  for (const [name, text] of [
    ["tls.key", made.keyPem],
    ["tls.crt", pem(made)],
  ] as const) {
    writeFileSync(join(dir, `${name}.new`), text);
    renameSync(join(dir, `${name}.new`), join(dir, name));
  }
}

const flagsOf = (dir: string): readonly string[] => [
  ...["--listener", "web=127.0.0.1:0", "--cert", `web=${dir}/tls.crt,${dir}/tls.key`, "--host", "web=shop.example"],
  ...["--status", `127.0.0.1:${statusPort}`],
  ...[
    "--listener",
    "free=127.0.0.1:0",
    "--listener",
    "few=127.0.0.1:0",
    "--descriptors",
    `${dir}/echo.binpb`,
    "--workers",
    "3",
  ],
];

beforeAll(async () => {
  statusPort = await freePort();
  web = await startWebMesh(
    webPolicy(
      [webListener("web", limits), webListener("free"), webListener("few", ", limits: { connections: 4 }")].join("\n"),
    ),
    (dir) => {
      store(dir, 0);
      return flagsOf(dir);
    },
  );
}, 120_000);

afterAll(async () => {
  for (const session of sessions) session.destroy();
  await web?.stop();
}, 60_000);

/** Connects; undefined: the connection was closed before it could be used. */
function open(): Promise<ClientHttp2Session | undefined> {
  return new Promise((resolve) => {
    const session = connect(`https://${web.addresses.web}`, { ca, servername: "shop.example" });
    sessions.push(session);
    session.once("remoteSettings", () => resolve(session));
    session.on("error", () => resolve(undefined)).on("close", () => resolve(undefined));
  });
}

function unaryOn(session: ClientHttp2Session): Promise<string> {
  return new Promise((resolve) => {
    const request = session.request({
      ...{ ":method": "POST", ":path": "/test.Echo/Unary", ":authority": "shop.example" },
      ...{ "content-type": "application/grpc", te: "trailers" },
    });
    const take = (fields: object) => {
      const status = (fields as Record<string, unknown>)["grpc-status"];
      if (status !== undefined) resolve(String(status));
    };
    request.on("response", take).on("trailers", take).resume();
    request.on("error", () => resolve("reset"));
    request.end(Buffer.alloc(5));
  });
}

const workersOf = (pid: number): readonly number[] =>
  spawnSync("ps", ["--ppid", String(pid), "-o", "pid="])
    .stdout.toString()
    .split(/\s+/)
    .filter((word) => word !== "")
    .map(Number);

test("an address has as many connections, and makes as many calls, as policy says of all workers together", async () => {
  const pid = web.gateway.child.pid ?? 0;
  expect(workersOf(pid).length).toBe(3);
  const opened = await Promise.all(Array.from({ length: 9 }, open));
  const usable = opened.flatMap((one) => one ?? []);
  expect(usable.length).toBe(6);
  const scraped = await (await fetch(`http://127.0.0.1:${statusPort}/metrics`)).text();
  expect(scraped).toContain('ashlar_handshake_failures_total{direction="outbound",reason="address"} 3');
  const fromMs = performance.now();
  const answers = (await Promise.all(usable.flatMap((one) => Array.from({ length: 10 }, () => unaryOn(one))))).map(
    String,
  );
  const passed = answers.filter((code) => code === "0").length;
  expect(new Set(answers)).toEqual(new Set(["0", "8"]));
  // 30 a minute: one at once, of each worker one, and one more each two seconds that the calls took
  const most = 3 + Math.ceil((performance.now() - fromMs) / 2000);
  expect([passed >= 1, passed <= most]).toEqual([true, true]);
  for (const one of usable) one.destroy();
  await until("connections that have ended count no more", async () => {
    const again = (await Promise.all(Array.from({ length: 6 }, open))).flatMap((one) => one ?? []);
    for (const one of again) one.destroy();
    return again.length === 6;
  });
});

test("a listener has as many connections as policy says of all workers together, and others have theirs", async () => {
  const [host = "", port = ""] = (web.addresses.few ?? "").split(":");
  const isOpen = await Promise.all(
    Array.from({ length: 9 }, async () => {
      const session = connect(`http://${host}:${port}`);
      sessions.push(session);
      return new Promise((resolve) => {
        session.once("remoteSettings", () => resolve(true));
        session.on("error", () => resolve(false)).on("close", () => resolve(false));
      });
    }),
  );
  expect(isOpen.filter(Boolean).length).toBe(4);
  const scraped = await (await fetch(`http://127.0.0.1:${statusPort}/metrics`)).text();
  expect(scraped).toContain('ashlar_handshake_failures_total{direction="outbound",reason="listener"} 5');
  expect((await json()).status).toBe(200);
});

test("each worker shows a certificate that has changed on disk", async () => {
  store(web.mesh.dir, 1);
  const issuerOf = (): Promise<string> =>
    new Promise((resolve) => {
      const [host = "", port = ""] = (web.addresses.web ?? "").split(":");
      const socket = connectTls({ host, port: Number(port), ca, servername: "shop.example", ALPNProtocols: ["h2"] });
      socket.on("error", () => resolve("error"));
      socket.once("secureConnect", () => {
        resolve(String(socket.getPeerCertificate().issuer.CN));
        socket.destroy();
      });
    });
  const shown = (): Promise<readonly string[]> => Promise.all([issuerOf(), issuerOf(), issuerOf()]);
  await until("all three show it", async () => (await shown()).join() === Array(3).fill("next servers").join(), 20_000);
});

const json = (): Promise<Response> =>
  fetch(`http://${web.addresses.free}/test.Echo/Unary`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"text":"hi"}',
  });

test("a worker that is killed is replaced, and its clients' connections count no more", async () => {
  const pid = web.gateway.child.pid ?? 0;
  const held: ClientHttp2Session[] = [];
  await until("there are six", async () => {
    const one = await open();
    if (one !== undefined) held.push(one);
    return held.length === 6;
  });
  const [first] = workersOf(pid);
  process.kill(first ?? 0, "SIGKILL");
  await until("its connections are gone, and others are taken", async () => {
    const again = await open();
    return again !== undefined && held.some(({ destroyed }) => destroyed);
  });
  await until("there are three again", () => workersOf(pid).length === 3);
  await until("calls are carried", async () => (await json()).status === 200);
  for (const one of sessions) one.destroy();
});

/** Starts a gateway on the folder and the addresses of the first. */
function startAgain(name: string): TestProcess {
  const { mesh, addresses } = web;
  const at = (flag: string, listener: string) =>
    flag.replace(`${listener}=127.0.0.1:0`, `${listener}=${addresses[listener]}`);
  return new TestProcess(name, process.execPath, [
    ...[cliPath, "gateway", "--name", "public", "--join", join(mesh.data, "join.json")],
    ...["--data", join(mesh.dir, "gateway")],
    ...flagsOf(mesh.dir).map((flag) => ["web", "free", "few"].reduce(at, flag)),
  ]);
}

test("a successor on the same folder takes the listeners over, and no call is lost", async () => {
  const codes: number[] = [];
  let isOver = false;
  const load = (async () => {
    while (!isOver) codes.push((await json().catch(() => ({ status: 0 }))).status);
  })();
  const successor = startAgain("successor");
  await successor.said("ready");
  await web.gateway.exited;
  await until("calls go on", () => codes.length > 0);
  expect((await json()).status).toBe(200);
  isOver = true;
  await load;
  expect(codes.filter((code) => code !== 200)).toEqual([]);
  await successor.stop();
}, 60_000);

test("one that is asked to stop while its workers start ends in order, and they with it", async () => {
  const starting = startAgain("starting");
  await until("its workers load", () => workersOf(starting.pid).length === 3);
  expect(await starting.stop()).toBe(0); // once nobody holds its output any more, workers included
  expect(starting.stdout).not.toContain("ready");
  expect(starting.stderr).not.toContain("left the mesh"); // which was never told of it
}, 60_000);

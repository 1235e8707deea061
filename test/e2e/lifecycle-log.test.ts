/** Each start and stop, registration and leave is a line in the log, at info, with the names of who it is about. */
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { TestMesh, type TestProxy } from "../support/mesh.js";
import { type LogLine, logLines, type TestProcess } from "../support/processes.js";
import { until } from "../support/until.js";

let mesh: TestMesh;
let echo: TestProxy;
let fixed: TestProxy;
let app: TestProcess;
beforeAll(async () => {
  mesh = await TestMesh.start();
  const socket = `unix:${mesh.dir}/fixed.sock`;
  echo = await mesh.proxy({ name: "echo", service: "echo", version: "v7", flags: ["--workers", "2"] });
  fixed = await mesh.proxy({ name: "fixed", service: "fixed", flags: ["--app", socket, "--grace", "1s"] });
  app = await mesh.app(echo, "echo");
}, 90_000);
afterAll(() => mesh?.stop(), 60_000);

const find = (process: TestProcess, message: string): LogLine | undefined =>
  logLines(process).find(({ level, msg }) => msg === message && (level === 30 || level === 40));
const logged = (process: TestProcess, message: string, about: LogLine) =>
  until(
    `${process.name} logs ${JSON.stringify(message)}`,
    () => {
      const line = find(process, message);
      if (line === undefined) return false;
      expect(line).toMatchObject(about);
      return true;
    },
    15_000,
    () => process.stderr,
  );
const ours = { ashlar: expect.stringMatching(/^\d+\.\d+\.\d+/) };

test("starts", async () => {
  const names = { mesh: "test", service: "echo", version: "v7", proxy: expect.stringMatching(/^echo-/) };
  await logged(mesh.up, "starting", { ...ours, pid: mesh.up.pid });
  await logged(mesh.up, "serving", { mesh: "test", admin: mesh.ready().admin });
  await logged(mesh.up, "a proxy joined", { proxy: names.proxy, service: "echo", version: "v7" });
  await logged(mesh.up, "a proxy is there", { proxy: names.proxy, service: "echo", version: "v7" });
  await logged(echo.process, "starting", { ...ours, service: "echo", pid: echo.process.pid });
  await logged(echo.process, "joined the mesh", names);
  await logged(echo.process, "serving", { ...names, workers: 2, listening: expect.stringContaining("inbound=127") });
  await logged(echo.process, "a worker carries calls", { worker: expect.any(Number), pid: expect.any(Number) });
  await logged(echo.process, "an application registered", { instance: names.proxy, path: expect.any(String) });
});

test("an application at --app comes and goes", async () => {
  const { path } = { path: `${mesh.dir}/fixed.sock` };
  const server = await mesh.child("fixed app", process.execPath, [
    "-e",
    `require("node:http2").createServer().listen(${JSON.stringify(path)}, () => console.log("ready"))`,
  ]);
  await logged(fixed.process, "the application is there", { path });
  await server.stop("SIGKILL");
  await logged(fixed.process, "the application is gone: it is out of routing", { path, why: expect.any(String) });
});

test("stops, in the order in which they happen", async () => {
  await app.stop("SIGKILL");
  await logged(echo.process, "the application is out of routing", { why: expect.stringContaining("process ended") });
  expect(await echo.process.stop("SIGTERM")).toBe(0);
  await logged(echo.process, "stopping", { ...ours, service: "echo", signal: "SIGTERM" });
  await logged(echo.process, "left the mesh: open calls may end", { service: "echo", version: "v7" });
  await logged(echo.process, "a worker stopped", { worker: expect.any(Number) });
  await logged(echo.process, "stopped", { ...ours, service: "echo", signal: "SIGTERM" });
  expect(logLines(echo.process).at(-1)).toMatchObject({ msg: "stopped" });
  await logged(mesh.up, "a proxy left", { service: "echo", version: "v7" });
  expect(await fixed.process.stop("SIGINT")).toBe(0);
  await logged(fixed.process, "stopped", { service: "fixed", signal: "SIGINT" });
  expect(await mesh.up.stop("SIGINT")).toBe(0);
  await logged(mesh.up, "stopping", { ...ours, signal: "SIGINT" });
  expect(logLines(mesh.up).at(-1)).toMatchObject({ msg: "stopped", signal: "SIGINT" });
});

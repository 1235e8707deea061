/** The socket over which services are added: what it answers to what it does not know, to too much and to too late. */
import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { AshlarError } from "../../../core/errors.js";
import { askProxy } from "../../../data-plane/host/control-client.js";
import { controlPath } from "../../../data-plane/host/control-messages.js";
import { type ControlServer, openControlServer } from "../../../data-plane/host/control-server.js";
import { createLogger } from "../../../runtime/log.js";

const folder = mkdtempSync(join(tmpdir(), "ash-control-"));
const log = createLogger({ level: "silent", name: "test", format: "json" });
const asked: unknown[] = [];
let server: ControlServer;

beforeAll(async () => {
  server = await openControlServer(
    folder,
    async (request) => {
      asked.push(request);
      if (request.kind === "remove") throw new AshlarError("not_found", "no proxy of it");
      return { kind: "done", services: [], note: "noted" };
    },
    log,
  );
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

async function say(text: string): Promise<string> {
  const socket: Socket = connect(controlPath(folder));
  let heard = "";
  socket.on("data", (bytes) => {
    heard += bytes.toString();
  });
  socket.on("error", () => {});
  socket.write(text);
  await new Promise((resolve) => socket.once("close", resolve));
  return heard;
}

test("its socket is for its owner alone", () => {
  expect(statSync(controlPath(folder)).mode & 0o777).toBe(0o600);
});

test("a request is done, and a refusal keeps its code", async () => {
  const settings = { service: "a", upstream: ["b=unix:/x"] };
  expect(await askProxy(folder, { kind: "add", settings, token: "secret" })).toMatchObject({ note: "noted" });
  expect(asked).toContainEqual({ kind: "add", settings, token: "secret" });
  await expect(askProxy(folder, { kind: "remove", service: "a" })).rejects.toMatchObject({
    code: "not_found",
    message: "no proxy of it",
  });
});

const garbage: readonly [string, string, string][] = [
  ["no JSON", "GET / HTTP/1.1\r\n\r\n", "expected one object of JSON on a line"],
  ["an unknown request", '{"kind":"stop"}\n', "does not know what it was asked"],
  ["settings that are none", '{"kind":"add","settings":[]}\n', "expected the settings of a service"],
  ["a token that is no text", '{"kind":"add","settings":{"service":"a"},"token":{}}\n', "does not know"],
];
test.each(garbage)("%s is refused in words", async (_, text, message) => {
  const before = asked.length;
  const reply = JSON.parse(await say(text));
  expect(reply).toMatchObject({ kind: "refused", code: "invalid_argument" });
  expect(reply.message).toContain(message);
  expect(asked).toHaveLength(before);
});

test("a line without an end is cut, and the next request is served", async () => {
  expect(await say("x".repeat(300 * 1024))).toBe("");
  expect(await askProxy(folder, { kind: "list" })).toMatchObject({ kind: "done" });
});

test("nobody there, or a folder that others may write, is said", async () => {
  await expect(askProxy("/nowhere", { kind: "list" })).rejects.toMatchObject({
    code: "unavailable",
    message: "no proxy runs on /nowhere: no such file or folder",
  });
  const open = mkdtempSync(join(tmpdir(), "ash-control-"));
  mkdirSync(join(open, "run"));
  await expect(askProxy(open, { kind: "list" })).rejects.toThrow(`no proxy runs on ${open}`);
  rmSync(open, { recursive: true, force: true });
});

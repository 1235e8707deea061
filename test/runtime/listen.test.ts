import { mkdtempSync, rmSync, statSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, expect, test } from "@jest/globals";
import { cannotListen, listenOn } from "../../runtime/listen.js";

const folder = mkdtempSync(join(tmpdir(), "ash-listen-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});
function open(): Server {
  const server = createServer();
  servers.push(server);
  return server;
}

test("port 0 becomes the real one, and what is taken is said with its place", async () => {
  const address = await listenOn(open(), { host: "127.0.0.1", port: 0 });
  expect(address.port).toBeGreaterThan(0);
  await expect(listenOn(open(), address)).rejects.toMatchObject({
    code: "unavailable",
    message: `cannot listen on 127.0.0.1:${address.port}: it is taken by another process`,
  });
});

test("an address that is not this machine's is said", async () => {
  await expect(listenOn(open(), { host: "192.0.2.1", port: 0 })).rejects.toThrow(
    "cannot listen on 192.0.2.1:0: this machine has no such address (EADDRNOTAVAIL)",
  );
});

test("a Unix socket is its owner's alone whatever the umask, and is taken once", async () => {
  const path = join(folder, "x.sock");
  const before = process.umask(0);
  try {
    await listenOn(open(), { path });
  } finally {
    process.umask(before);
  }
  expect(statSync(path).mode & 0o777).toBe(0o600);
  await expect(listenOn(open(), { path })).rejects.toThrow(`cannot listen on ${path}: it is taken by another process`);
});

test("a connection that could not be accepted does not stop a listener", async () => {
  const [quiet, heard] = [open(), [] as string[]];
  await listenOn(quiet, { host: "127.0.0.1", port: 0 });
  quiet.emit("error", new Error("EMFILE"));
  const told = open();
  await listenOn(told, { host: "127.0.0.1", port: 0 }, { onError: (error) => heard.push(error.message) });
  told.emit("error", new Error("EMFILE"));
  expect([quiet.listening, told.listening, heard]).toEqual([true, true, ["EMFILE"]]);
});

test("the code is found in the text of grpc-js, which keeps no cause", () => {
  const text = "No address added out of total 1 resolved errors: [listen EADDRINUSE: address already in use]";
  expect(cannotListen("unix:/a", new Error(text)).message).toBe(
    "cannot listen on unix:/a: it is taken by another process",
  );
});

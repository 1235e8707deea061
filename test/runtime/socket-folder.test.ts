/** Where Unix sockets are made: with our modes whatever the umask, and not where others could replace them. */
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as grpc from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { prepareSocketPath } from "../../data-plane/proxy/socket-path.js";
import { systemClock } from "../../runtime/clock.js";
import { startGrpcServer } from "../../runtime/grpc-server.js";
import { listenOn } from "../../runtime/listen.js";
import { createLoggerTo } from "../../runtime/log.js";
import { checkSocketFolder } from "../../runtime/socket-folder.js";
import { bindPrivately } from "../../sdk/serve.js";

let folder: string;
let lines: string[];
let umask: number;
let closers: (() => unknown)[];
const log = createLoggerTo({ write: (line) => lines.push(line) }, { level: "info", name: "test" });

beforeEach(() => {
  umask = process.umask();
  folder = mkdtempSync(join(tmpdir(), "ashlar-socket-"));
  lines = [];
  closers = [];
});
afterEach(async () => {
  process.umask(umask);
  for (const close of closers) await close();
  rmSync(folder, { recursive: true, force: true });
});

function modeOf(path: string): string {
  return (statSync(path).mode & 0o7777).toString(8);
}

test.each([0o000, 0o002, 0o022, 0o077, 0o277, 0o777])("umask %o: folders 0700, sockets 0600", async (odd) => {
  const path = join(folder, "a", "b", "proxy.sock");
  const server = createServer();
  closers.push(() => server.close());
  process.umask(odd);
  try {
    await prepareSocketPath({ path }, log);
    await listenOn(server, { path });
  } finally {
    process.umask(umask);
  }
  expect([modeOf(join(folder, "a")), modeOf(join(folder, "a", "b")), modeOf(path)]).toEqual(["700", "700", "600"]);
  expect(lines).toEqual([]);
});

test("the agent's socket, and an application's, have mode 0600 under umask 0", async () => {
  process.umask(0);
  const path = join(folder, "agent.sock");
  const credentials = grpc.ServerCredentials.createInsecure();
  const agent = await startGrpcServer({ bind: `unix:${path}`, credentials, services: [], log, clock: systemClock });
  closers.push(() => agent.stop(0));
  expect(modeOf(path)).toBe("600");
  const app = await bindPrivately(grpc, new grpc.Server(), folder);
  closers.push(() => app.shutdown(1000));
  expect(modeOf(app.address.slice("unix:".length))).toBe("600");
});

/** What both a proxy and the SDK say about a socket in `folder`. */
async function refusals(): Promise<readonly string[]> {
  const message = (error: unknown) => (error instanceof Error ? error.message : String(error));
  return [
    await prepareSocketPath({ path: join(folder, "x.sock") }, log).then(() => "taken", message),
    await bindPrivately(grpc, new grpc.Server(), folder).then((app) => app.shutdown(0).then(() => "taken"), message),
  ];
}

test.each([0o770, 0o720, 0o777, 0o702])("a folder of mode %o is refused with the remedy", async (mode) => {
  chmodSync(folder, mode);
  for (const said of await refusals()) {
    expect(said).toContain(`cannot listen on ${folder}`);
    expect(said).toContain(`(mode 0${mode.toString(8)}) and could replace the socket: chmod 700 ${folder}`);
  }
});

test.each([0o700, 0o750, 0o755, 0o1777, 0o1770])("a folder of mode %o is taken", async (mode) => {
  chmodSync(folder, mode);
  expect(await refusals()).toEqual(["taken", "taken"]);
  expect(lines.some((line) => line.includes("others may enter"))).toBe(mode !== 0o700);
});

test("a folder of another user is refused with the remedy, one of root's is taken", async () => {
  const { uid } = statSync(folder);
  const other = checkSocketFolder(folder, uid + 1);
  if (uid === 0) await expect(other).resolves.toEqual({ mayOthersEnter: false });
  else await expect(other).rejects.toThrow(`(uid ${uid}, this process has uid ${uid + 1}), who could replace`);
  if (uid !== 0) return; // only root gives folders to others
  const theirs = join(folder, "theirs");
  mkdirSync(theirs, { mode: 0o700 });
  chownSync(theirs, 65534, 65534);
  symlinkSync(theirs, join(folder, "link"));
  for (const name of ["theirs", "link"]) {
    const said = prepareSocketPath({ path: join(folder, name, "x.sock") }, log);
    await expect(said).rejects.toThrow(/to another user \(uid 65534, this process has uid 0\).*chown it to uid 0/);
  }
  await expect(checkSocketFolder(theirs, 65534)).resolves.toEqual({ mayOthersEnter: false });
});

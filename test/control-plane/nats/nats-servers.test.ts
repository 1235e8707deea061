/** NATS servers that were told and do not answer: told with the remedy, once they are given up on, and no longer when they are back. */
import { createServer } from "node:net";
import { expect, test } from "@jest/globals";
import { NatsServers } from "../../../control-plane/nats/nats-servers.js";
import { listenOn } from "../../../runtime/listen.js";
import { ManualClock } from "../../support/manual-clock.js";

/** A control plane that was told `servers`, and dials them as often as `pass` is called. */
function watch(servers: readonly string[], down: ReadonlySet<string>) {
  const clock = new ManualClock();
  const greet = async (host: string, port: number) => (down.has(`${host}:${port}`) ? undefined : `nats-${port}`);
  const stop = AbortSignal.abort(); // only `look` looks
  const watched = new NatsServers({ servers: () => servers, clock, greet }, stop);
  const pass = async (ms: number): Promise<void> => {
    await clock.advance(ms);
    await watched.look();
  };
  return { watched, pass };
}

const three = ["nats://a:4222", "tls://b", "[::1]:4224"];

test("one of several that does not answer for 15 s is a problem with the remedy, until it answers", async () => {
  const down = new Set(["b:4222"]);
  const { watched, pass } = watch(three, down);
  await pass(0);
  await pass(14_000);
  expect([watched.silent, watched.problems()]).toEqual([0, []]);
  await pass(6000);
  expect(watched.silent).toBe(1);
  expect(watched.problems()).toEqual([
    {
      code: "nats-server-silent",
      message: expect.stringMatching(/^NATS server b:4222 has not answered for 20 s: .*; start it again, or see that/),
      subject: "b:4222",
    },
  ]);
  down.clear();
  await pass(5000);
  expect([watched.silent, watched.problems()]).toEqual([0, []]);
});

test("one that accepts connections and does not greet, as a stopped process does, does not answer", async () => {
  const [greets, hangs] = [
    createServer((socket) => socket.end('INFO {"server_name":"one"}\r\n')),
    createServer((socket) => socket.on("error", () => {})),
  ];
  const ports = await Promise.all([greets, hangs].map((server) => listenOn(server, { host: "127.0.0.1", port: 0 })));
  const servers = ports.map(({ port }) => `nats://127.0.0.1:${port}`);
  const clock = new ManualClock();
  const watched = new NatsServers({ servers: () => servers, clock }, AbortSignal.abort());
  await watched.look();
  await clock.advance(15_000);
  for (const server of [greets, hangs]) server.close();
  expect(watched.problems().map(({ subject }) => subject)).toEqual([`127.0.0.1:${ports[1]?.port}`]);
});

test("one that fails now and then is none", async () => {
  const down = new Set(["::1:4224"]);
  const { watched, pass } = watch(three, down);
  await pass(0);
  await pass(10_000);
  down.clear();
  await pass(5000);
  down.add("::1:4224");
  await pass(5000);
  expect(watched.problems()).toEqual([]);
  await pass(15_000);
  expect(watched.problems().map(({ subject }) => subject)).toEqual(["[::1]:4224"]);
});

test.each([
  ["none of several answers: that is the connection's to tell", three, ["a:4222", "b:4222", "::1:4224"]],
  ["the only one does not", ["nats://a:4222"], ["a:4222"]],
])("where %s, nothing is told", async (_what, servers, gone) => {
  const { watched, pass } = watch(servers, new Set(gone));
  await pass(0);
  await pass(60_000);
  expect([watched.silent, watched.problems()]).toEqual([0, []]);
});

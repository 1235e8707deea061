/** NATS comes again at another place with other keys, as a private one does whose folder was lost. */
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Bus } from "../../runtime/bus.js";
import { silentLogger } from "../../runtime/log.js";
import { connectNats } from "../../runtime/nats.js";
import { startTestNats, type TestNats } from "../support/nats.js";
import { untilTrue } from "../support/until.js";

let [first, second]: (TestNats | undefined)[] = [];
let bus: Bus | undefined;

beforeAll(async () => {
  [first, second] = await Promise.all([startTestNats({ streams: false }), startTestNats({ streams: false })]);
}, 60_000);
afterAll(async () => {
  await bus?.close();
  await Promise.all([first?.stop(), second?.stop()]);
});

test("a proxy that is told so reads there with its new credentials, and its subscriptions go on", async () => {
  if (first === undefined || second === undefined) throw new Error("no servers");
  const there = await second.user({ publish: ["x"], subscribe: ["x", "_INBOX_p.>"] }, "_INBOX_p");
  let now = { nats: first, user: await first.user({ publish: ["x"], subscribe: ["x", "_INBOX_p.>"] }, "_INBOX_p") };
  bus = connectNats({
    servers: () => now.nats.urls,
    caPem: () => undefined,
    jwt: () => now.user.jwt,
    seed: () => now.user.seed,
    ...{ inboxPrefix: "_INBOX_p", name: "p", log: silentLogger, timeoutMs: 2000 },
  });
  await bus.whenConnected(AbortSignal.timeout(10_000));
  const heard = bus.subscribe("x")[Symbol.asyncIterator]();
  bus.moved(); // nothing has: the connection stays
  expect(bus.connected).toBe(true);
  const old = now;
  now = { nats: second, user: there };
  bus.moved();
  // the old connection takes a moment to close, and who publishes or subscribes meanwhile does not fail
  expect([bus.connected, bus.publish("x", Buffer.from("lost"))]).toEqual([false, false]);
  bus.subscribe("x").close();
  now = old;
  await bus.whenConnected(AbortSignal.timeout(20_000));
  bus.moved();
  await bus.whenConnected(AbortSignal.timeout(20_000));
  await first.servers[0]?.stop();
  const lost = bus;
  await untilTrue(() => !lost.connected);
  now = { nats: second, user: there };
  bus.moved();
  await bus.whenConnected(AbortSignal.timeout(20_000));
  await bus.flush();
  expect(bus.publish("x", Buffer.from("hello"))).toBe(true);
  expect(Buffer.from((await heard.next()).value?.data ?? "").toString()).toBe("hello");
}, 60_000);

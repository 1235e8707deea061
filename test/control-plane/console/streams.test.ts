/** Streams of events: what they carry, how many there may be, and how they end. */
import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { streamsMax, streamsOfSessionMax } from "../../../control-plane/console/event-streams.js";
import { AshlarError } from "../../../core/errors.js";
import { WatchActivationsResponse } from "../../../proto/gen/ashlar/v1/admin.js";
import { onAbort } from "../../../runtime/abort.js";
import { type CallContext, serverStreaming, unary } from "../../../runtime/grpc-handlers.js";
import { ann, type ConsoleSettings, openEvents, openTestConsole, type TestConsole } from "../../support/console.js";
import { countHeld } from "../../support/held.js";
import { runs } from "../../support/runs.js";
import { until } from "../../support/until.js";

let console: TestConsole;
let asked = 0;
let services: string[] = [];
let fails: AshlarError | undefined;
/** Handlers of streams that have begun and not ended. */
let following = 0;
let epochs = 3;
let answered: WeakRef<object>[] = [];
/** What every stream of activations is given first. */
let shared: object | undefined;

const openConsole = (settings: ConsoleSettings = {}) =>
  openTestConsole(
    {
      listServices: unary(() => {
        asked += 1;
        if (fails !== undefined) throw fails;
        return { services: services.map((name) => ({ name, endpoints: [], inPolicy: true })) };
      }) as never,
      watchActivations: serverStreaming(async function* (request: { fromEpoch: number }, context: CallContext) {
        following += 1;
        try {
          if (shared !== undefined) yield shared as never;
          for (let epoch = Math.max(1, request.fromEpoch); epoch <= epochs; epoch += 1) {
            const answer = WatchActivationsResponse.fromPartial({ activation: { epoch } });
            if (epochs <= 1000) answered.push(new WeakRef(answer));
            yield answer;
          }
          if (request.fromEpoch > 0) return;
          await new Promise<void>((resolve) => onAbort(context.signal, resolve));
        } finally {
          following -= 1;
        }
      }) as never,
    },
    settings,
  );

beforeEach(async () => {
  [asked, services, fails, following, epochs, answered, shared] = [0, ["a"], undefined, 0, 3, [], undefined];
  console = await openConsole();
});
afterEach(() => console.close());

const open = async (path: string, cookie?: string) =>
  openEvents(console.origin, path, cookie ?? (await console.logIn()));
const epochsIn = (text: string) => [...text.matchAll(/"epoch":(\d+)/g)].map(([, epoch]) => Number(epoch));

describe("what a stream carries", () => {
  test("the answers of a method that streams, each as a message, then its end", async () => {
    const stream = await open(`/api/stream/WatchActivations?request=${encodeURIComponent('{"fromEpoch":2}')}`);
    await stream.ended;
    expect(stream.headers["content-type"]).toBe("text/event-stream; charset=utf-8");
    expect(stream.text.match(/^event: \w+$/gm)).toEqual(["event: message", "event: message", "event: end"]);
    expect(epochsIn(stream.text)).toEqual([2, 3]);
  });

  test("answers that were sent are not held while the stream goes on", async () => {
    epochs = 300;
    const stream = await open("/api/watch?topic=activations");
    await stream.has(/"epoch":300/);
    expect(answered).toHaveLength(300);
    expect(await countHeld(answered)).toBeLessThan(10);
    expect(following).toBe(1);
  });

  test("an answer that several streams are given is rendered once", async () => {
    let rendered = 0;
    shared = {
      get activation() {
        rendered += 1;
        return WatchActivationsResponse.fromPartial({ activation: { epoch: 77 } }).activation;
      },
    };
    const cookie = await console.logIn();
    const streams = await Promise.all([1, 2, 3].map(() => open("/api/watch?topic=activations", cookie)));
    for (const stream of streams) await stream.has(/"epoch":77\D/);
    const once = rendered;
    const late = await open("/api/watch?topic=activations", cookie);
    await late.has(/"epoch":77\D/);
    expect(rendered).toBe(once);
    expect(once).toBeLessThan(6); // a rendering reads a field once or twice
  });

  test("topics beside each other, each named; what is asked again is sent where it differs", async () => {
    const stream = await open("/api/watch?topic=activations&topic=services");
    await stream.has(/event: services\n.*"name":"a"/);
    await stream.has(/"epoch":3/);
    for (const name of ["a", "b"]) {
      services = [name];
      await until("it is asked again", () => console.clock.sleeping > 0);
      await console.clock.advance(2000);
    }
    await stream.has(/event: services\n.*"name":"b"/);
    expect(stream.text.match(/^event: services$/gm)).toHaveLength(2);
    stream.leave();
    await until("nobody follows", () => following === 0);
  });

  test("what many follow is asked for once", async () => {
    const streams = await Promise.all(Array.from({ length: 8 }, () => open("/api/watch?topic=services")));
    for (const stream of streams) await stream.has(/event: services/);
    const before = asked;
    services = ["c"];
    await until("it is asked again", () => console.clock.sleeping > 0);
    await console.clock.advance(2000);
    for (const stream of streams) await stream.has(/"name":"c"/);
    expect(asked - before).toBe(1);
  });

  test("names with line breaks and markup stay in the data of their event", async () => {
    services = ["x\n\nevent: message\ndata: {}\n\n<script>"];
    const stream = await open("/api/watch?topic=services");
    await stream.has(/script/);
    expect(stream.text.match(/^event: .*$/gm)).toEqual(["event: services"]);
  });

  test("a topic that fails is said, and the others go on", async () => {
    fails = new AshlarError("denied", "not for you");
    const stream = await open("/api/watch?topic=services&topic=activations");
    await stream.has(/event: failed\ndata: {"topic":"services","code":"denied","message":"not for you"/);
    await stream.has(/"epoch":3/);
  });

  test.each([
    ["/api/watch", "topic: expected some of"],
    ["/api/watch?topic=__proto__", "__proto__"],
    ["/api/stream/GetStatus", "POST /api/GetStatus"],
    ["/api/stream/WatchActivations?request=%7B", "is not JSON"],
    ["/api/stream/WatchActivations?request=%7B%22x%22%3A1%7D", 'key \\"x\\" is unknown'],
  ])("%s is refused with its reason", async (path, why) => {
    const stream = await open(path);
    await stream.ended;
    expect(stream.text).toContain(why);
  });
});

describe("how a stream ends", () => {
  test("with the session, of whatever cause", async () => {
    const cookie = await console.logIn();
    const stream = await open("/api/watch?topic=activations", cookie);
    await stream.has(/"epoch":3/);
    console.revoked.push({ serial: ann.certificateSerial, reason: "left", timeMs: 1 });
    console.desk.sessions.sweep();
    await stream.ended;
    expect(stream.text).toContain("event: ended");
    expect(following).toBe(0);
  });

  test("as the oldest of a session that opens too many", async () => {
    const cookie = await console.logIn();
    const first = await open("/api/watch?topic=activations", cookie);
    const others = [];
    for (let count = 0; count < streamsOfSessionMax; count += 1)
      others.push(await open("/api/watch?topic=activations", cookie));
    await first.ended;
    expect(first.text).toContain("event: replaced");
    for (const stream of others) await stream.has(/"epoch":3/);
    await until("one is gone", () => following === streamsOfSessionMax);
  });

  test("for a reader that takes nothing: what is sent is not kept for it", async () => {
    epochs = 1_000_000;
    const cookie = await console.logIn();
    const socket = connectTls({ host: "127.0.0.1", port: console.port, rejectUnauthorized: false });
    socket.on("error", () => {});
    socket.write(`GET /api/watch?topic=activations HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: ${cookie}\r\n\r\n`);
    await until("it follows", () => following === 1);
    socket.pause();
    await until("the handler waits for its reader", async () => {
      const before = console.streams.unreadBytes;
      await new Promise((resolve) => setImmediate(resolve));
      return before > 0 && console.streams.unreadBytes === before;
    });
    expect(console.streams.unreadBytes).toBeLessThan(1024 * 1024);
    for (const _ of [1, 2, 3]) console.streams.beat();
    await until("nobody follows", () => following === 0);
    socket.destroy();
  });
});

test("ten thousand streams are refused cheaply, and others are served meanwhile", async () => {
  const plain = await openConsole({ plain: true });
  const cookies: string[] = [];
  for (let count = 0; count < streamsMax / streamsOfSessionMax; count += 1) cookies.push(await plain.logIn());
  let gone = 0;
  const most = runs(400); // each asks for twenty
  const sockets = Array.from({ length: 100 + most }, (_, place) => {
    const cookie = cookies[place % cookies.length];
    const get = `GET /api/watch?topic=activations HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: ${cookie}\r\n\r\n`;
    const socket = connect(plain.port, "127.0.0.1", () => socket.write(get.repeat(20)));
    socket.on("error", () => {});
    socket.on("close", () => {
      gone += 1;
    });
    return socket;
  });
  await until("most are turned away", () => gone >= most, 30_000);
  expect(plain.streams.size).toBeLessThanOrEqual(streamsMax);
  const bob = await plain.logIn({ ...ann, id: `${ann.id}-bob` as typeof ann.id });
  expect((await plain.browse("/api/session", { headers: { cookie: bob } })).status).toBe(200);
  for (const socket of sockets) socket.destroy();
  await until("nobody follows", () => following === 0);
  plain.close();
}, 60_000);

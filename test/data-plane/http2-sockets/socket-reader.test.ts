/** Sockets are read into one buffer that all share, on every Node that is supported; if not, as streams. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "@jest/globals";
import { readSocket } from "../../../data-plane/http2-sockets/socket-reader.js";
import { writeSocket } from "../../../data-plane/http2-sockets/socket-writer.js";
import { until } from "../../support/until.js";

const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

/** Both ends of a connection. */
async function pair(): Promise<{ readonly accepted: Socket; readonly dialled: Socket }> {
  const server = createServer();
  const accepted = new Promise<Socket>((resolve) => server.once("connection", resolve));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const dialled = connect((server.address() as AddressInfo).port, "127.0.0.1");
  stops.push(() => {
    dialled.destroy();
    server.close();
  });
  return { accepted: await accepted, dialled };
}

function reading(socket: Socket) {
  const state = { text: "", buffers: new Set<Uint8Array>() };
  readSocket(socket, (bytes, length) => {
    state.text += Buffer.from(bytes.subarray(0, length)).toString();
    state.buffers.add(bytes);
  });
  return state;
}

describe("a socket of the engine", () => {
  test("is read into the same buffer each time, accepted or dialled", async () => {
    const { accepted, dialled } = await pair();
    const there = reading(accepted);
    const back = reading(dialled);
    for (const word of ["one ", "two ", "three"]) {
      const before = there.text.length;
      dialled.write(word);
      accepted.write(word);
      await until("it has come", () => there.text.length > before && back.text.length >= there.text.length);
    }
    expect([there.text, back.text]).toEqual(["one two three", "one two three"]);
    expect([...new Set([...there.buffers, ...back.buffers])]).toHaveLength(1);
  });

  test("loses nothing that came before it was read", async () => {
    const { accepted, dialled } = await pair();
    dialled.write("early ");
    accepted.read(0);
    await until("it is in the stream", () => accepted.readableLength === 6);
    const there = reading(accepted);
    dialled.write("late");
    await until("all has come", () => there.text.length === 10);
    expect(there.text).toBe("early late");
  });

  test("stands still while it is paused, and tells the end", async () => {
    const { accepted, dialled } = await pair();
    const there = reading(accepted);
    let ended = false;
    accepted.on("end", () => {
      ended = true;
    });
    accepted.pause();
    const sent = new Promise<void>((resolve) => dialled.end("x".repeat(100_000), resolve));
    await new Promise((resolve) => setImmediate(resolve));
    expect(there.text).toBe("");
    accepted.resume();
    await sent;
    await until("its end", () => ended);
    expect(there.text).toHaveLength(100_000);
  });

  test("is read as a stream where Node has no such buffer", async () => {
    const { accepted, dialled } = await pair();
    const handle = (accepted as unknown as { _handle: { useUserBuffer?: unknown } })._handle;
    handle.useUserBuffer = undefined;
    const there = reading(accepted);
    dialled.write("as ever");
    await until("it has come", () => there.text === "as ever");
  });

  test("is written in order, in one piece or several, and says when it failed", async () => {
    const { accepted, dialled } = await pair();
    const there = reading(accepted);
    const write = (...chunks: readonly string[]) =>
      new Promise<Error | null | undefined>((resolve) =>
        writeSocket(
          dialled,
          chunks.map((text) => Buffer.from(text)),
          resolve,
        ),
      );
    await write("a");
    await write("b", "c", "d");
    await until("all has come", () => there.text === "abcd");
    dialled.destroy();
    expect(await write("late")).toMatchObject({ code: "ERR_SOCKET_CLOSED" });
  });
});

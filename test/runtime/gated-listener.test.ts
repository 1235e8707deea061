/** Handshakes and silence at a real port, where this process is busy, too. */
import { once } from "node:events";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { afterEach, describe, expect, test } from "@jest/globals";
import { systemClock } from "../../runtime/clock.js";
import { type GatedListener, type GatedListenerOptions, listenGated } from "../../runtime/gated-listener.js";
import { silentLogger } from "../../runtime/log.js";
import { makeRoot } from "../support/certificates.js";

const limits = { strangersMax: 9, strangersOfAddressMax: 9, knownMax: 9, knownOfOneMax: 9, strangerMsMax: 60_000 };
const { der, keyPem } = makeRoot("mesh");
const cert = `-----BEGIN CERTIFICATE-----\n${Buffer.from(der).toString("base64")}\n-----END CERTIFICATE-----\n`;
const toClose: (() => void)[] = [];
afterEach(() => {
  for (const close of toClose.splice(0)) close();
});

async function listen(more: Partial<GatedListenerOptions>): Promise<GatedListener> {
  const listener = await listenGated({
    ...{ host: "127.0.0.1", port: 0, limits, clock: systemClock, log: silentLogger, judgeAgainMs: 60_000 },
    tls: { cert, key: keyPem },
    isKnown: () => true,
    serve: (socket) => socket.resume(),
    ...more,
  });
  toClose.push(() => {
    listener.stopAccepting();
    listener.close();
  });
  return listener;
}

function tcp({ port }: GatedListener): Socket {
  const socket = connectTcp(port, "127.0.0.1");
  socket.on("error", () => {});
  toClose.push(() => socket.destroy());
  return socket;
}

const shake = (socket: Socket): TLSSocket =>
  connectTls({ socket, rejectUnauthorized: false, ALPNProtocols: ["h2"] }).on("error", () => {});

describe("a gated listener", () => {
  test("ends a handshake that does not begin, in its time", async () => {
    const socket = tcp(await listen({ handshakeMsMax: 1 }));
    await once(socket, "close");
  });

  test("ends a peer that says nothing after its handshake, in its time", async () => {
    const socket = shake(tcp(await listen({ silentMsMax: 1 })));
    await once(socket, "secureConnect");
    await once(socket, "close");
  });

  test("ends nobody for bytes that lay unread while the process was busy", async () => {
    let served = (): void => {};
    const isServed = new Promise<void>((resolve) => {
      served = resolve;
    });
    const listener = await listen({ handshakeMsMax: 1500, serve: () => served() });
    const socket = tcp(listener);
    await once(socket, "connect");
    while (listener.counts.strangers === 0) await new Promise((next) => setImmediate(next));
    const secure = shake(socket);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3000);
    await Promise.race([isServed, once(secure, "close").then(() => expect("served").toBe("closed"))]);
  });
});

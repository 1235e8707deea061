/**
 * Floods one listener of a gateway until it is killed: `flood.js KIND PORT`. Its clients use many addresses of this
 * machine.
 */
import { type ClientHttp2Session, connect } from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { messageOf } from "../echo-server/message.js";
import { type FrameFlood, frameFloods, sendFrames } from "./frame-floods.js";

const [kind, portText] = process.argv.slice(2);
const port = Number(portText);
const heldMax = 6000;
const addresses = 200;
let nextAddress = 0;

/** Returns where the next connection comes from. Linux owns all of 127.0.0.0/8. */
const place = () => ({ host: "127.0.0.1", port, localAddress: `127.0.1.${1 + (nextAddress++ % addresses)}` });

/**
 * Calls `again` when the connection has closed, with a pause, so that refused connections do not keep this process
 * busy.
 */
function whenClosed(socket: Socket, again: () => void): void {
  socket.on("error", () => {});
  socket.once("close", () => setTimeout(again, 1));
}

function shakeHands(): void {
  const socket = connectTls({ ...place(), rejectUnauthorized: false, ALPNProtocols: ["h2"] });
  socket.once("secureConnect", () => socket.destroy());
  whenClosed(socket, shakeHands);
}

/** Opens a connection and sends nothing on it. */
function hold(): void {
  whenClosed(connectTcp(place()), hold);
}

function callOn(session: ClientHttp2Session, body: Uint8Array): void {
  if (session.closed || session.destroyed) return;
  const stream = session.request({
    ...{ ":method": "POST", ":path": "/bench.Echo/Call", te: "trailers", "content-type": "application/grpc" },
  });
  stream.on("error", () => {}).resume();
  stream.once("close", () => setImmediate(() => callOn(session, body)));
  stream.end(body);
}

/** Keeps `calls` calls open on a connection. */
function call(body: Uint8Array, calls: number): void {
  const socket = connectTls({ ...place(), rejectUnauthorized: false, ALPNProtocols: ["h2"] });
  const session = connect("https://localhost", { createConnection: () => socket });
  session.on("error", () => {});
  session.once("close", () => setTimeout(() => call(body, calls), 10));
  session.once("connect", () => {
    for (let open = 0; open < calls; open++) callOn(session, body);
  });
}

function sendFlood(flood: FrameFlood): void {
  const socket = connectTls({ ...place(), rejectUnauthorized: false, ALPNProtocols: ["h2"] });
  sendFrames(socket, flood);
  whenClosed(socket, () => sendFlood(flood));
}

const begin: Readonly<Record<string, () => void>> = {
  handshakes: shakeHands,
  connections: hold,
  calls: () => call(messageOf(32, true), 20),
  bytes: () => call(messageOf(1_000_000, true), 4),
  ...Object.fromEntries(Object.entries(frameFloods).map(([name, flood]) => [name, () => sendFlood(flood)])),
};
const frameFloodersUsual = 16;
const counts: Readonly<Record<string, number>> = { handshakes: 64, connections: heldMax, calls: 20, bytes: 10 };
const start = begin[kind ?? ""];
if (start !== undefined)
  for (let index = 0; index < (counts[kind ?? ""] ?? frameFloodersUsual); index++) setTimeout(start, index / 10);

/** What somebody who is not known, or has the certificate of a service, can do to a port that speaks gRPC over TLS. */
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { frame, preface, settings } from "../support/wire.js";
import { pause } from "./child.js";

export interface AttackedPort {
  readonly host: string;
  readonly port: number;
  /** "/ashlar.v1.JoinService/Join" */
  readonly method: string;
  /** What the attacker has; undefined: nothing. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

/** Connections that an attack holds open. */
export interface Attack {
  /** How many the server has left open. */
  readonly open: () => number;
  end(): void;
}

export interface ListenerAttack {
  readonly name: string;
  begin(at: AttackedPort, count: number): Promise<Attack>;
}

const streamsEach = 100;
const messageBytes = 60_000;

const ignoring = <One extends Socket>(socket: One): One => socket.on("error", () => {});

function holding(sockets: readonly Socket[], stop: () => void = () => {}): Attack {
  return {
    open: () => sockets.filter((socket) => !socket.destroyed).length,
    end: () => {
      stop();
      for (const socket of sockets) socket.destroy();
    },
  };
}

const times = <Item>(count: number, make: () => Item): Item[] => Array.from({ length: count }, make);

function openTls({ host, port, cert, key }: AttackedPort): TLSSocket {
  const own = cert === undefined ? {} : { cert, key };
  return ignoring(connectTls({ host, port, ...own, ALPNProtocols: ["h2"], rejectUnauthorized: false }));
}

/** Begins messages on every stream and ends none of them. */
function openUnfinished(at: AttackedPort): ClientHttp2Session {
  const own = at.cert === undefined ? {} : { cert: at.cert, key: at.key };
  const session = connectHttp2(`https://${at.host}:${at.port}`, { ...own, rejectUnauthorized: false });
  session.on("error", () => {});
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(8 * 1024 * 1024, 1);
  const fields = { ":method": "POST", ":path": at.method, "content-type": "application/grpc", te: "trailers" };
  for (let n = 0; n < streamsEach; n += 1) {
    const stream = session.request(fields);
    stream.on("error", () => {});
    stream.write(prefix);
    stream.write(Buffer.alloc(messageBytes));
  }
  return session;
}

async function unfinished(at: AttackedPort, count: number): Promise<Attack> {
  const sessions = times(count, () => openUnfinished(at));
  return {
    open: () => sessions.filter((session) => !session.destroyed && !session.closed).length,
    end: () => {
      for (const session of sessions) session.destroy();
    },
  };
}

async function halfOpen({ host, port }: AttackedPort, count: number): Promise<Attack> {
  const sockets = times(count, () => ignoring(connect({ host, port })));
  for (const [n, socket] of sockets.entries())
    if (n % 2 === 0) socket.write(Buffer.from("1603010200010001fc0303", "hex"));
  return holding(sockets);
}

async function idle(at: AttackedPort, count: number): Promise<Attack> {
  const sockets = times(count, () => openTls(at));
  for (const socket of sockets) socket.on("secureConnect", () => socket.write(Buffer.concat([preface, settings()])));
  return holding(sockets);
}

async function slowBytes(at: AttackedPort, count: number): Promise<Attack> {
  const sockets = times(count, () => openTls(at));
  const bytes = Buffer.concat([preface, settings()]);
  let sent = 0;
  const timer = setInterval(() => {
    for (const socket of sockets) if (!socket.destroyed) socket.write(bytes.subarray(sent, sent + 1));
    sent += 1;
  }, 200);
  return holding(sockets, () => clearInterval(timer));
}

/** Header blocks that never end. */
async function headerFlood(at: AttackedPort, count: number): Promise<Attack> {
  const sockets = times(count, () => openTls(at));
  const block = Buffer.alloc(16_000, 0x82); // ":method: GET", again and again
  for (const socket of sockets)
    socket.on("secureConnect", () => {
      socket.write(Buffer.concat([preface, settings(), frame(1, 0, 1, block)]));
      for (let n = 0; n < 200; n += 1) socket.write(frame(9, 0, 1, block));
    });
  return holding(sockets);
}

export const halfOpenAttack: ListenerAttack = { name: "half-open TLS", begin: halfOpen };

export const listenerAttacks: readonly ListenerAttack[] = [
  { name: "unfinished messages", begin: unfinished },
  halfOpenAttack,
  { name: "idle sessions", begin: idle },
  { name: "slow bytes", begin: slowBytes },
  { name: "header floods", begin: headerFlood },
];

/** What came of an attack, seen from outside. */
export interface Withstood {
  readonly grewMiB: number;
  readonly failed: number;
  readonly asked: number;
  readonly open: number;
}

/** Attacks for `ms`, and asks meanwhile as honest users do; `ask` fails if it is not answered. */
export async function withstand(
  attack: ListenerAttack,
  at: AttackedPort,
  options: {
    readonly count: number;
    readonly ms: number;
    readonly rssBytes: () => number;
    readonly ask: () => Promise<unknown>;
  },
): Promise<Withstood> {
  const before = options.rssBytes();
  const held = await attack.begin(at, options.count);
  let [most, asked, failed] = [before, 0, 0];
  for (const end = Date.now() + options.ms; Date.now() < end; ) {
    asked += 1;
    await options.ask().catch(() => {
      failed += 1;
    });
    most = Math.max(most, options.rssBytes());
    await pause(100);
  }
  const open = held.open();
  held.end();
  return { grewMiB: (most - before) / (1 << 20), failed, asked, open };
}

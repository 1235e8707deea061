import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { defaultLimits, type EngineLimits } from "../../data-plane/http2/limits.js";
import { BlockPool } from "../../data-plane/http2/output.js";
import { PreparedField } from "../../data-plane/http2/prepared-field.js";
import { EngineCounters, refusalReasons } from "../../data-plane/http2/refusals.js";
import { EngineLoop } from "../../data-plane/http2-sockets/engine-loop.js";
import { type ConnectionOwner, SocketConnection } from "../../data-plane/http2-sockets/socket-connection.js";
import { cpuSecondsOf } from "../cpu-time.js";
import { messageOf } from "../echo-server/message.js";
import { numberFlag, readFlags } from "../options.js";
import { Call, freshFields, seedFields, Tally } from "./call.js";

const flags = readFlags(process.argv.slice(2), {
  text: `npm run bench:load -- --target HOST:PORT|unix:PATH [--connections 8] [--streams 32] [--seconds 5 | --calls N]
  [--rate CALLS/S] [--bytes 64 [--answer BYTES]] [--path /bench.Echo/Call] [--authority bench] [--scheme http] [--plain] [--same-headers] [--seed N]
  [--tls [--ca FILE] [--cert FILE --key FILE] [--server-name NAME]] [--cpu-of PID...] [--json]`,
  example: "npm run bench:load -- --target 127.0.0.1:9000 --seconds 5",
  onTerminate: () => wind(), // it has no children, and prints what it measured before it ends
});
const target = flags.get("target")?.[0];
if (target === undefined) {
  console.error("say where to: --target HOST:PORT or --target unix:PATH");
  process.exit(2);
}
const connectionCount = numberFlag(flags, "connections", 8);
const streamCount = numberFlag(flags, "streams", 32);
const calls = numberFlag(flags, "calls", Number.POSITIVE_INFINITY);
const seconds = numberFlag(flags, "seconds", calls === Number.POSITIVE_INFINITY ? 5 : 3600);
const rate = numberFlag(flags, "rate", 0);
const grpc = !flags.has("plain");
const vary = !flags.has("same-headers");
seedFields(numberFlag(flags, "seed", 0));
const pids = (flags.get("cpu-of") ?? []).map(Number);

const limits: EngineLimits = { ...defaultLimits, streamWindowBytes: 1_048_576, connectionWindowBytes: 16_777_216 };
const head = [
  new PreparedField(":method", "POST"),
  new PreparedField(":scheme", flags.get("scheme")?.[0] ?? (flags.has("tls") ? "https" : "http")),
  new PreparedField(":path", flags.get("path")?.[0] ?? "/bench.Echo/Call"),
  new PreparedField(":authority", flags.get("authority")?.[0] ?? "bench"),
  new PreparedField("te", "trailers"),
  new PreparedField("content-type", grpc ? "application/grpc" : "application/octet-stream"),
  new PreparedField("user-agent", "ashlar-bench/1"),
  new PreparedField("grpc-accept-encoding", "identity,deflate,gzip"),
];
const body = messageOf(numberFlag(flags, "bytes", 64), grpc);
const answerBytes = numberFlag(flags, "answer", -1);
const answer = answerBytes < 0 ? body : messageOf(answerBytes, grpc);
const tally = new Tally();
const loop = new EngineLoop(() => performance.now());
const deps = {
  loop,
  counters: new EngineCounters(),
  pool: new BlockPool(),
  onFault: (error: unknown) => console.error(error),
};
const lanes: Lane[] = [];
let finished = false;
let started = 0;
let running = 0;
let stopping = false;

function dial(): Socket {
  const [host, port] = splitTarget(target as string);
  const place = port === undefined ? { path: host } : { host, port };
  if (!flags.has("tls")) return connect(place);
  const file = (name: string) => {
    const path = flags.get(name)?.[0];
    return path === undefined ? undefined : readFileSync(path);
  };
  const [ca, cert, key] = [file("ca"), file("cert"), file("key")];
  return connectTls({
    ...place,
    ALPNProtocols: ["h2"],
    servername: flags.get("server-name")?.[0] ?? "localhost",
    ...(ca === undefined ? { rejectUnauthorized: false } : { ca, checkServerIdentity: () => undefined }),
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
  });
}

function splitTarget(text: string): [string, number | undefined] {
  if (text.startsWith("unix:")) return [text.slice(5), undefined];
  const colon = text.lastIndexOf(":");
  return [text.slice(0, colon), Number(text.slice(colon + 1))];
}

/** One connection that keeps `streams` calls open, or as many as the rate requires. */
class Lane {
  readonly #io: SocketConnection;
  #open = 0;
  #owed = 0;

  constructor(socket: Socket) {
    const owner: ConnectionOwner = {
      onRequest(stream) {
        stream.reset(1);
      },
      onCapacity: () => this.fill(),
      onClosed: () => {
        const { deadReason, control } = this.#io.connection;
        if (!finished) tally.fault(`connection closed (${refusalReasons[deadReason]}, GOAWAY ${control.goawayCode})`);
        lanes.splice(lanes.indexOf(this), 1);
        if (lanes.length === 0) finish();
      },
    };
    this.#io = new SocketConnection(socket, false, limits, owner, deps);
  }

  /** Starts one more call (open loop). */
  due(): void {
    this.#owed++;
    this.fill();
  }

  fill(): void {
    while (!stopping && started < calls && this.#open < streamCount && (rate === 0 || this.#owed > 0)) {
      const call = new Call(tally, answer, grpc, performance.now(), this.#ended);
      const stream = this.#io.connection.open(call);
      if (stream === null) return;
      started++;
      running++;
      this.#open++;
      if (rate > 0) this.#owed--;
      stream.sendFields(head, null, freshFields(vary), false);
      stream.sendData(body, 0, body.length, true);
    }
  }

  readonly #ended = (): void => {
    this.#open--;
    running--;
    if (stopping || started >= calls) {
      if (running === 0) finish();
    } else this.fill();
  };

  close(): void {
    this.#io.shutdown();
  }
}

let hasBegun = false;
let beginning = performance.now();
let cpuBefore = pids.map(cpuSecondsOf);
let ownBefore = process.cpuUsage();

function finish(): void {
  if (finished) return;
  finished = true;
  stopping = true;
  const elapsed = (performance.now() - beginning) / 1000;
  const cpu = pids.map((pid, place) => cpuSecondsOf(pid) - (cpuBefore[place] ?? 0));
  const own = process.cpuUsage(ownBefore);
  const all = cpu.reduce((sum, value) => sum + value, 0);
  const result = {
    ok: tally.ok,
    failed: tally.failed,
    faults: Object.fromEntries(tally.faults),
    seconds: Number(elapsed.toFixed(3)),
    callsPerSecond: Math.round(tally.ok / elapsed),
    p50Us: Math.round(tally.latencyUs(0.5)),
    p99Us: Math.round(tally.latencyUs(0.99)),
    cpuUsPerCall: Number(((all * 1e6) / Math.max(1, tally.ok)).toFixed(2)),
    loadCpuUsPerCall: Number(((own.user + own.system) / Math.max(1, tally.ok)).toFixed(2)),
  };
  if (flags.has("json")) console.log(JSON.stringify(result));
  else {
    for (const [name, value] of Object.entries(result)) {
      console.log(`${name.padEnd(18)}${typeof value === "object" ? JSON.stringify(value) : value}`);
    }
  }
  for (const lane of lanes) lane.close();
  setTimeout(() => loop.stop(), 200);
  process.exitCode = tally.failed > 0 || tally.ok === 0 ? 1 : 0;
}

/** Begins to measure. The cost of handshakes before this is no part of a call. */
function begin(sockets: readonly Socket[]): void {
  hasBegun = true;
  beginning = performance.now();
  cpuBefore = pids.map(cpuSecondsOf);
  ownBefore = process.cpuUsage();
  for (const socket of sockets) lanes.push(new Lane(socket));
  for (const lane of [...lanes]) lane.fill();
  if (lanes.length === 0) finish();
  if (rate > 0) keepRate();
  setTimeout(wind, seconds * 1000).unref();
}

function keepRate(): void {
  let due = 0;
  const timer = setInterval(() => {
    if (finished) clearInterval(timer);
    const wanted = ((performance.now() - beginning) / 1000) * rate;
    for (; due < wanted && lanes.length > 0; due++) (lanes[due % lanes.length] as Lane).due();
  }, 1);
}

/** Opens a connection. undefined: it failed, which is counted. */
function open(): Promise<Socket | undefined> {
  const socket = dial();
  return new Promise((resolve) => {
    socket.once("error", (error: Error) => {
      if (hasBegun) return; // the connection's lane reports it
      tally.fault(`connect: ${error.message}`);
      resolve(undefined);
    });
    socket.once(flags.has("tls") ? "secureConnect" : "connect", () => resolve(socket));
  });
}

/** Starts no new calls. Open calls get five seconds to end. */
function wind(): void {
  stopping = true;
  if (running === 0) finish();
  setTimeout(finish, 5000).unref();
}

const opened = await Promise.all(Array.from({ length: connectionCount }, open));
begin(opened.filter((socket) => socket !== undefined));

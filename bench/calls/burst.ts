import type { Socket } from "node:net";
import { createInterface } from "node:readline";
import { defaultLimits, type EngineLimits } from "../../data-plane/http2/limits.js";
import { BlockPool } from "../../data-plane/http2/output.js";
import { PreparedField } from "../../data-plane/http2/prepared-field.js";
import { EngineCounters } from "../../data-plane/http2/refusals.js";
import { EngineLoop } from "../../data-plane/http2-sockets/engine-loop.js";
import { type ConnectionOwner, SocketConnection } from "../../data-plane/http2-sockets/socket-connection.js";
import { Echo } from "../echo-server/echo.js";
import { messageOf } from "../echo-server/message.js";
import { Call, freshFields, Tally } from "../load/call.js";
import { numberFlag, readFlags } from "../options.js";
import { startBare } from "./bare-pair.js";
import { startInbound, startOutbound, type Taker } from "./mesh-pair.js";
import { type End, type Meter, MeteredSocket } from "./metered-socket.js";

const flags = readFlags(process.argv.slice(2), {
  text: `node dist/bench/calls/burst.js [--shape 8x32] [--through mesh|mesh-off|mesh-on|mesh-tapped|mesh-tapped-elsewhere|mesh-traffic|mesh-blind|bare|none] [--bytes 64] [--same-headers] [--warm 200000]
One contender of bench:calls: says "ready", then makes as many calls as each line of its input says and prints figures.`,
  example: "echo 20000 | node dist/bench/calls/burst.js --shape 8x32",
});
const [connectionCount = 8, streamCount = 32] = (flags.get("shape")?.[0] ?? "8x32").split("x").map(Number);
const through = flags.get("through")?.[0] ?? "mesh";
const modes = {
  ...({ "mesh-on": "on", "mesh-off": "off", "mesh-traffic": "traffic", "mesh-blind": "blind" } as const),
  ...({ "mesh-tapped": "tapped", "mesh-tapped-elsewhere": "tapped-elsewhere" } as const),
};
const mode = through in modes ? modes[through as keyof typeof modes] : "none";
/** One call in this many is traced by the caller, whatever carries it. */
const sampledEach = 100;
let made = 0;
const vary = !flags.has("same-headers");
const limits: EngineLimits = {
  ...defaultLimits,
  concurrentStreamsMax: 1000,
  streamWindowBytes: 1_048_576,
  connectionWindowBytes: 16_777_216,
};
const head = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/bench.Echo/Call"],
  [":authority", "bench"],
  ["te", "trailers"],
  ["content-type", "application/grpc"],
  ["user-agent", "ashlar-bench/1"],
  ["grpc-accept-encoding", "identity,deflate,gzip"],
].map(([name = "", value = ""]) => new PreparedField(name, value));
const body = messageOf(numberFlag(flags, "bytes", 64), true);
const meter: Meter = new Map();

function dependencies() {
  const onFault = (error: unknown) => console.error(error);
  const loop = new EngineLoop(() => performance.now());
  return { loop, counters: new EngineCounters(), pool: new BlockPool(), onFault };
}

function startServer(): Taker {
  const deps = dependencies();
  const owner: ConnectionOwner = {
    onRequest(stream, fields, endStream) {
      stream.sink = new Echo(stream, fields, endStream);
    },
    onCapacity() {},
    onClosed() {},
  };
  return { take: (socket) => void new SocketConnection(socket, true, limits, owner, deps) };
}

/** Returns a function that opens a connection from `from`, which `taker` accepts at `to`. */
function dialer(from: End, to: End, taker: Taker): () => Socket {
  return () => {
    const [mine, theirs] = MeteredSocket.between(from, to, meter);
    taker.take(theirs);
    return mine;
  };
}

function startPair(server: Taker): () => Socket {
  if (through === "none") return dialer("client", "server", server);
  const toServer = dialer("inbound", "server", server);
  const inbound = through === "bare" ? startBare(toServer) : startInbound(toServer, mode);
  const toInbound = dialer("outbound", "inbound", inbound);
  return dialer("client", "outbound", through === "bare" ? startBare(toInbound) : startOutbound(toInbound, mode));
}

/** Keeps `streamCount` calls open on one connection while there are calls to be made. */
class Lane implements ConnectionOwner {
  readonly #io: SocketConnection;
  #open = 0;

  constructor(socket: Socket, deps: ReturnType<typeof dependencies>) {
    this.#io = new SocketConnection(socket, false, limits, this, deps);
  }

  onRequest(): void {}

  onCapacity(): void {}

  onClosed(): void {
    throw new Error("a connection was closed");
  }

  fill(): void {
    while (left > 0 && this.#open < streamCount) {
      const stream = this.#io.connection.open(new Call(tally, body, true, 0, this.#ended));
      if (stream === null) return;
      left--;
      this.#open++;
      stream.sendFields(head, null, freshFields(vary, made++ % sampledEach === 0), false);
      stream.sendData(body, 0, body.length, true);
    }
  }

  readonly #ended = (): void => {
    this.#open--;
    if (--running === 0) done();
    else this.fill();
  };
}

let tally = new Tally();
let left = 0;
let running = 0;
let done = (): void => {};
const dial = startPair(startServer());
const clientDeps = dependencies();
const lanes = Array.from({ length: connectionCount }, () => new Lane(dial(), clientDeps));

async function makeCalls(calls: number): Promise<object> {
  tally = new Tally();
  meter.clear();
  left = running = calls;
  const before = process.cpuUsage();
  await new Promise<void>((resolve) => {
    done = resolve;
    for (const lane of lanes) lane.fill();
  });
  const { user, system } = process.cpuUsage(before);
  const parts = Object.fromEntries([...meter].map(([label, us]) => [label, us / calls]));
  return { cpuUs: (user + system) / calls, parts, failed: tally.failed };
}

await new Promise((resolve) => setTimeout(resolve, 50)); // SETTINGS
await makeCalls(numberFlag(flags, "warm", 200_000));
if (tally.ok === 0)
  throw new Error(`no call through ${through} succeeded: ${[...tally.faults.keys()].slice(0, 3).join("; ")}`);
console.log("ready");
for await (const line of createInterface({ input: process.stdin }))
  console.log(JSON.stringify(await makeCalls(Number(line))));
process.exit();

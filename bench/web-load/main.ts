/** Makes calls of gRPC-Web and Connect over TLS, by HTTP/2 or HTTP/1.1, with Node's own clients. */
import { type ClientHttp2Session, connect } from "node:http2";
import { Agent, request } from "node:https";
import { cpuSecondsOf } from "../cpu-time.js";
import { messageOf } from "../echo-server/message.js";
import { numberFlag, readFlags } from "../options.js";

const flags = readFlags(process.argv.slice(2), {
  text: `node dist/bench/web-load/main.js --target HOST:PORT [--kind grpc-web|grpc-web-text|connect] [--http 1|2]
  [--connections 16] [--streams 4] [--seconds 2] [--bytes 64] [--cpu-of PID...] [--json]
Unary calls to bench.Echo/Call over TLS; each answer is compared with what was sent.`,
  example: "node dist/bench/web-load/main.js --target 127.0.0.1:8443 --kind connect --http 2",
});
const target = flags.get("target")?.[0] ?? "";
const kind = flags.get("kind")?.[0] ?? "grpc-web";
const isHttp2 = flags.get("http")?.[0] === "2";
const connections = numberFlag(flags, "connections", 16);
const streams = isHttp2 ? numberFlag(flags, "streams", 4) : 1;
const seconds = numberFlag(flags, "seconds", 2);
const pids = (flags.get("cpu-of") ?? []).map(Number);

const path = "/bench.Echo/Call";
const framed = Buffer.from(messageOf(numberFlag(flags, "bytes", 64), true));
const types: Readonly<Record<string, string>> = {
  "grpc-web": "application/grpc-web+proto",
  "grpc-web-text": "application/grpc-web-text+proto",
  connect: "application/proto",
};
const headers = {
  "content-type": types[kind] ?? "",
  ...(kind === "connect" ? { "connect-protocol-version": "1" } : { "x-grpc-web": "1", accept: types[kind] ?? "" }),
};
const body =
  kind === "connect" ? framed.subarray(5) : kind === "grpc-web" ? framed : Buffer.from(framed.toString("base64"));

/** Returns what is wrong with an answer, or "". */
function faultOf(status: number | undefined, answer: Buffer): string {
  if (status !== 200) return `HTTP ${status}`;
  if (kind === "connect") return answer.equals(body) ? "" : "wrong bytes";
  const pieces = kind === "grpc-web" ? [] : (answer.toString("latin1").match(/[^=]+=*/g) ?? []);
  const plain = kind === "grpc-web" ? answer : Buffer.concat(pieces.map((piece) => Buffer.from(piece, "base64")));
  if (!plain.subarray(0, framed.length).equals(framed)) return "wrong bytes";
  return /grpc-status: ?0\r\n/.test(plain.subarray(framed.length).toString("latin1")) ? "" : "no good status";
}

/** Makes one call. Resolves with what is wrong with it, or "". */
type Ask = () => Promise<string>;

async function overHttp2(): Promise<Ask> {
  const session: ClientHttp2Session = connect(`https://${target}`, {
    rejectUnauthorized: false,
    servername: "localhost",
  });
  await new Promise((resolve, reject) => session.once("connect", resolve).once("error", reject));
  const head = { ":method": "POST", ":path": path, ":authority": "localhost", ...headers };
  return () =>
    new Promise((resolve) => {
      const stream = session.request(head);
      const parts: Buffer[] = [];
      let status: number | undefined;
      stream.on("response", (fields) => {
        status = fields[":status"];
      });
      stream.on("data", (part: Buffer) => parts.push(part));
      stream.on("end", () => resolve(faultOf(status, Buffer.concat(parts))));
      stream.on("error", (error) => resolve(error.message));
      stream.on("close", () => resolve("cut"));
      stream.end(body);
    });
}

async function overHttp1(): Promise<Ask> {
  const [host = "", port = ""] = target.split(":");
  const agent = new Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false, servername: "localhost" });
  const options = {
    ...{ host, port: Number(port), path, agent, method: "POST" },
    headers: { host: "localhost", "content-length": body.length, ...headers },
  };
  return () =>
    new Promise((resolve) => {
      const sent = request(options, (response) => {
        const parts: Buffer[] = [];
        response.on("data", (part: Buffer) => parts.push(part));
        response.on("error", (error) => resolve(error.message));
        response.on("end", () => resolve(faultOf(response.statusCode, Buffer.concat(parts))));
      });
      sent.on("error", (error) => resolve(error.message));
      sent.on("close", () => resolve("cut")); // after a complete answer this changes nothing
      sent.end(body);
    });
}

const faults: Record<string, number> = {};
const tookUs: number[] = [];

async function work(ask: Ask, endMs: number): Promise<void> {
  for (let startedMs = performance.now(); startedMs < endMs; startedMs = performance.now()) {
    const fault = await ask();
    if (fault === "") tookUs.push((performance.now() - startedMs) * 1000);
    else faults[fault] = (faults[fault] ?? 0) + 1;
  }
}

const clients = await Promise.all(Array.from({ length: connections }, isHttp2 ? overHttp2 : overHttp1));
await Promise.all(clients.map((ask) => ask())); // handshakes are no part of a call
const before = pids.map(cpuSecondsOf);
const startedMs = performance.now();
await Promise.all(
  clients.flatMap((ask) => Array.from({ length: streams }, () => work(ask, startedMs + seconds * 1000))),
);
const tookS = (performance.now() - startedMs) / 1000;
const cpuS = pids.reduce((sum, pid, place) => sum + cpuSecondsOf(pid) - (before[place] ?? 0), 0);
tookUs.sort((a, b) => a - b);
const ok = tookUs.length;
const failed = Object.values(faults).reduce((sum, count) => sum + count, 0);
const result = {
  ...{ ok, failed, faults, seconds: Number(tookS.toFixed(3)), callsPerSecond: Math.round(ok / tookS) },
  p50Us: Math.round(tookUs[ok >> 1] ?? 0),
  p99Us: Math.round(tookUs[Math.floor(ok * 0.99)] ?? 0),
  cpuUsPerCall: Number(((cpuS * 1e6) / Math.max(1, ok)).toFixed(2)),
};
console.log(flags.has("json") ? JSON.stringify(result) : result);
process.exit(failed > 0 || ok === 0 ? 1 : 0);

/** What a message to one subscriber costs the server of NATS: the assumption on which the simulated fleet rests. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect as dial } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type TLSSocket } from "node:tls";
import { toPem } from "../../runtime/tls-identity-keys.js";
import { whenKilled } from "../../test/conformance/when-killed.js";
import { basic, dnsName, makeCertificate, san } from "../../test/support/certificates.js";
import { freePort } from "../../test/support/free-ports.js";
import { cpuSecondsOf } from "../cpu-time.js";
import { printTable } from "../proxy/contenders.js";
import { median, quantile, render } from "./figures.js";

export interface FanOutOptions {
  /** The numbers of subscribers; each is measured in turn. */
  readonly sizes: readonly number[];
  readonly rounds: number;
}

/** About the size of an activation with its headers. */
const messageBytes = 1250;
const openingAtOnce = 50;

/** Measures a nats-server with subscribers over TLS that only count bytes, all of one subject. */
export async function measureFanOut({ sizes, rounds }: FanOutOptions): Promise<void> {
  console.log("\n### Fan-out: one message to every subscriber, TLS\n");
  const rows: string[][] = [];
  for (const size of sizes) {
    const { cpuUs, lastMs } = await measure(size, rounds);
    rows.push([String(size), render(cpuUs), `${render(quantile(lastMs, 0))}, ${render(median(lastMs))}`]);
  }
  printTable(["subscribers", "CPU µs of nats-server a subscriber", "the last has it after ms: least, median"], rows);
}

async function measure(size: number, rounds: number) {
  const dir = mkdtempSync(join(tmpdir(), "ashlar-fan-out-"));
  const certificate = makeCertificate({ extensions: [basic(false), san(dnsName("localhost"))] });
  writeFileSync(join(dir, "cert.pem"), toPem([certificate.der]));
  writeFileSync(join(dir, "key.pem"), certificate.keyPem, { mode: 0o600 });
  const port = await freePort();
  const settings = `port: ${port}\nmax_connections: ${size + 8}\ntls { cert_file: "${dir}/cert.pem", key_file: "${dir}/key.pem", timeout: 60 }`;
  writeFileSync(join(dir, "nats.conf"), settings);
  const server = spawn("nats-server", ["-c", join(dir, "nats.conf")], { stdio: ["ignore", "ignore", "pipe"] });
  const stop = (): void => void server.kill();
  const takeBack = whenKilled({ end: async () => stop(), endNow: stop });
  const bytes = { got: 0, wanted: 0, whenThere: () => {} };
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.stderr.on("data", (text) => String(text).includes("Server is ready") && resolve());
    });
    for (let first = 0; first < size; first += openingAtOnce) {
      const count = Math.min(openingAtOnce, size - first);
      for (const socket of await Promise.all(Array.from({ length: count }, () => open(port, "SUB news 1\r\n"))))
        socket.on("data", (data: Buffer) => {
          bytes.got += data.length;
          if (bytes.got >= bytes.wanted) bytes.whenThere();
        });
    }
    const publisher = await open(port, "");
    const message = `PUB news ${messageBytes}\r\n${"x".repeat(messageBytes)}\r\n`;
    bytes.wanted = size * `MSG news 1 ${messageBytes}\r\n${"x".repeat(messageBytes)}\r\n`.length;
    const lastMs: number[] = [];
    const before = cpuSecondsOf(server.pid ?? 0);
    for (let round = 0; round < rounds; round += 1) {
      bytes.got = 0;
      const there = new Promise<void>((resolve) => {
        bytes.whenThere = resolve;
      });
      const startMs = performance.now();
      publisher.write(message);
      await there;
      lastMs.push(performance.now() - startMs);
    }
    return { cpuUs: ((cpuSecondsOf(server.pid ?? 0) - before) * 1e6) / rounds / size, lastMs };
  } finally {
    takeBack();
    stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Opens a connection and subscribes. Resolves when the server has handled that. */
async function open(port: number, subscribe: string): Promise<TLSSocket> {
  const plain = dial(port, "127.0.0.1");
  await once(plain, "data"); // INFO comes before TLS
  const socket = connect({ socket: plain, rejectUnauthorized: false }); // the server is this bench's own
  await once(socket, "secureConnect");
  socket.write(`CONNECT {"verbose":false,"tls_required":true}\r\n${subscribe}PING\r\n`);
  await once(socket, "data");
  return socket;
}

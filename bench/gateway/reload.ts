/** Replaces a listener's certificates under load: calls on open connections, and new connections all the time. */
import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, renameSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { join, resolve } from "node:path";
import { connect, type TLSSocket } from "node:tls";
import { promisify } from "node:util";
import type { Identity } from "../proxy/certificates.js";
import { writeIdentities } from "../proxy/certificates.js";
import { type LoadFigures, printTable } from "../proxy/contenders.js";
import type { BenchGateway } from "./gateway.js";

const rate = 500;
const newEveryMs = 50;
const reloadBoundMs = 15_000;
const path = "/bench.Echo/Call";

interface New {
  ok: number;
  readonly faults: string[];
}

/** Opens a connection, makes one call, and returns the serial number of the certificate that was shown. */
function callOnce(port: number): Promise<string> {
  return new Promise((done, failed) => {
    const socket: TLSSocket = connect({
      ...{ host: "127.0.0.1", port, servername: "localhost", ALPNProtocols: ["h2"], rejectUnauthorized: false },
    });
    socket.once("error", failed);
    socket.once("secureConnect", () => {
      const serial = socket.getPeerCertificate().serialNumber;
      const session = connectHttp2("https://localhost", { createConnection: () => socket });
      session.on("error", failed);
      const head = { ":method": "POST", ":path": path, ":authority": "localhost", te: "trailers" };
      const stream = session.request({ ...head, "content-type": "application/grpc" });
      let status: unknown;
      stream.on("trailers", (fields) => {
        status = fields["grpc-status"];
      });
      stream.on("response", (fields) => {
        status ??= fields["grpc-status"];
      });
      stream.on("error", failed);
      stream.on("close", () => {
        session.close();
        if (status === "0") done(serial);
        else failed(new Error(`grpc-status ${String(status)}`));
      });
      stream.resume();
      stream.end(Buffer.alloc(5));
    });
  });
}

function replace(from: Identity, to: Identity): void {
  for (const file of ["certificate", "key"] as const) {
    copyFileSync(from[file], `${to[file]}.next`);
    renameSync(`${to[file]}.next`, to[file]);
  }
}

/** `identity`: the files that the gateway reads. */
export async function measureReload(
  gateway: BenchGateway,
  identity: Identity,
  folder: string,
  reloads: number,
): Promise<void> {
  const port = gateway.ports[0] ?? 0;
  const two = ["first", "second"].map((name) => {
    const own = join(folder, `reload-${name}`);
    mkdirSync(own);
    return writeIdentities(own).server;
  });
  const load = promisify(execFile)(process.execPath, [
    ...[resolve(import.meta.dirname, "../load/main.js"), "--target", `127.0.0.1:${port}`, "--tls", "--authority"],
    ...["localhost", "--connections", "10", "--streams", "100", "--rate", String(rate), "--seconds", "600", "--json"],
  ]);
  const news: New = { ok: 0, faults: [] };
  const shown = new Set<string>();
  let isOver = false;
  const fresh = (async () => {
    while (!isOver) {
      await callOnce(port).then(
        (serial) => {
          shown.add(serial);
          news.ok++;
        },
        (error: Error) => news.faults.push(error.message),
      );
      await new Promise((wait) => setTimeout(wait, newEveryMs));
    }
  })();
  let done = 0;
  for (; done < reloads; done++) {
    shown.clear();
    const next = two[done % 2];
    if (next === undefined) break;
    const before = await callOnce(port);
    replace(next, identity);
    const end = performance.now() + reloadBoundMs;
    while ([...shown].every((serial) => serial === before) && performance.now() < end)
      await new Promise((wait) => setTimeout(wait, newEveryMs));
    if ([...shown].every((serial) => serial === before)) break;
  }
  isOver = true;
  await fresh;
  load.child.kill("SIGTERM");
  const { stdout } = await load.catch((error: { readonly stdout: string }) => error);
  const figures = JSON.parse(stdout) as LoadFigures;
  printTable(
    ["certificate reloads", "calls on 10 connections", "failed", "calls on new connections", "failed"],
    [[done, figures.ok, figures.failed, news.ok, news.faults.length].map(String)],
  );
  const faults = [...Object.keys(figures.faults), ...new Set(news.faults)];
  if (faults.length > 0 || done < reloads) {
    console.log(`reloads wanted: ${reloads}; faults: ${faults.join("; ") || "none"}`);
    process.exitCode = 1;
  }
}

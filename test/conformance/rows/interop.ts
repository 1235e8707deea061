/** CHECKS of interoperability: gRPC's own shapes, by clients of two languages, through two proxies. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { data, headers } from "../../support/wire.js";
import { type Arena, type Check, together, type Verdict, verdict } from "../check.js";
import { hosts } from "../gateway.js";
import { InteropClient } from "../interop/client.js";
import { startInteropServer } from "../interop/server.js";
import { pemOf } from "../mesh.js";
import { okTrailers, responseHead } from "../upstream.js";

/** The folder of these checks; the mesh under test may be another build. */
const ownRoot = join(import.meta.dirname, "../../../..");
const runFile = promisify(execFile);
const told = (error: unknown): string => (error instanceof Error ? error.message : String(error)).slice(0, 200);

let stopServer: (() => void) | undefined;

/** The interoperability service behind a proxy of its own, for the rows that follow. */
async function ready(arena: Arena): Promise<void> {
  if (stopServer !== undefined) return;
  const app = join(arena.mesh.dir, "interop.sock");
  stopServer = await startInteropServer(app);
  await arena.mesh.proxy({ name: "interop", service: "interop", app });
  await arena.mesh.healthy("interop");
}

/** A client by the front proxy's outbound socket, or by the gateway, whose certificate is for `hosts`. */
function clientOf({ target, front, attacked, mesh }: Arena, compressed = false): InteropClient {
  if (target === "proxy") return new InteropClient(`unix:${front.outbound}`, "interop", compressed);
  const { host, port } = attacked.inbound;
  return new InteropClient(`${host}:${port}`, hosts.first, compressed, pemOf(mesh.authority.certificate));
}

async function byGrpcJs(arena: Arena): Promise<Verdict> {
  await ready(arena);
  const parts: (readonly [string, Verdict])[] = [];
  const plain = clientOf(arena);
  const compressed = clientOf(arena, true);
  const shapes = [
    ...plain.shapes,
    ["client_compressed_unary", () => compressed.largeUnary()] as const,
    ["client_compressed_streaming", () => compressed.clientStreaming()] as const,
  ];
  for (const [name, shape] of shapes) {
    let wrong = "";
    for (let time = 0; time < (arena.quick ? 1 : 20) && wrong === ""; time++)
      await shape().catch((e) => (wrong = told(e)));
    parts.push([name, verdict(wrong === "", wrong === "" ? "as it should be" : wrong)]);
  }
  plain.close();
  compressed.close();
  return together(parts);
}

/** grpc-js servers do not compress: the answers are made by hand. */
async function compressedAnswers(arena: Arena): Promise<Verdict> {
  const packed = gzipSync(Buffer.alloc(31_415));
  const prefix = Buffer.alloc(5);
  prefix[0] = 1;
  prefix.writeUInt32BE(packed.length, 1);
  const message = Buffer.concat([prefix, packed]);
  let count = 1;
  arena.hostile.become((peer, { id }) => {
    peer.send(headers(id, [...responseHead, ["grpc-encoding", "gzip"]]));
    for (let i = 0; i < count; i++) peer.send(data(id, message));
    peer.send(headers(id, okTrailers, { endStream: true }));
  });
  const client = new InteropClient(`unix:${arena.front.outbound}`, "wild");
  const parts: (readonly [string, Verdict])[] = [];
  const { code, size } = await client.unary("/grpc.testing.TestService/UnaryCall", Buffer.alloc(0));
  parts.push(["server_compressed_unary", verdict(code === 0 && size === 31_415, `status ${code}, ${size} bytes`)]);
  count = 3;
  const wrong = await client.serverStreaming([31_415, 31_415, 31_415]).then(() => "", told);
  parts.push(["server_compressed_streaming", verdict(wrong === "", wrong === "" ? "as it should be" : wrong)]);
  client.close();
  return together(parts);
}

async function byPython(arena: Arena): Promise<Verdict> {
  await ready(arena);
  const python = existsSync("/usr/bin/python3") ? "/usr/bin/python3" : "python3";
  const script = join(ownRoot, "test/conformance/interop/interop_client.py");
  const { stdout } = await runFile(python, [script, `unix:${arena.front.outbound}`, "interop"], { timeout: 120_000 });
  const result: Record<string, string> = JSON.parse(stdout);
  const parts = Object.entries(result).map(
    ([name, wrong]) => [name, verdict(wrong === "", wrong === "" ? "as it should be" : wrong)] as const,
  );
  return together(parts);
}

/** What holds for a proxy's callers and for a gateway's alike. */
export const interopsAnywhere: readonly Check[] = [
  { row: 14, name: "gRPC's shapes, grpc-js at both ends (16)", counted: false, run: byGrpcJs },
];

export const interops: readonly Check[] = [
  ...interopsAnywhere,
  { row: 14, name: "gRPC's shapes, a client in Python (16)", counted: false, run: byPython },
  { row: 14, name: "compressed answers, unary and streaming", counted: false, run: compressedAnswers },
];

export function stopInterop(): void {
  stopServer?.();
}

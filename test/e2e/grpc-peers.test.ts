/** grpc-go (its newest version and 1.47) and gRPC's C core, as callers and as applications, through two real proxies. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { GoPeer } from "../../bench/soak/go-peers.js";
import { TestMesh, type TestProxy } from "../support/mesh.js";
import { repository, run } from "../support/processes.js";

const python = "/usr/bin/python3";
const script = join(repository, "test/e2e/grpc_peer.py");

interface Peer {
  readonly name: string;
  /** Serves as an application until the mesh is stopped. */
  serve(path: string): Promise<unknown>;
  /** Calls `authority` and tells what was wrong with each case; "": nothing. */
  cases(path: string, authority: string): Promise<Record<string, string>>;
}

let mesh: TestMesh | undefined;
let front: TestProxy;
let goPeers: GoPeer[] = [];
const peers: Peer[] = [];
const missing: string[] = [];
const binaries = mkdtempSync(join(tmpdir(), "ash-peers-"));
const pathOf = (socket: string): string => socket.replace(/^unix:/, "");
const serviceOf = (place: number): string => `peer-${place}`;

async function findPeers(): Promise<void> {
  goPeers = await GoPeer.build(repository, binaries, (why) => missing.push(why));
  peers.push(...goPeers);
  const found = await run(python, ["-c", "import grpc"]).catch(() => undefined);
  if (found?.code !== 0) {
    missing.push("python3-grpcio is not installed: npm run setup -- --tests");
    return;
  }
  peers.push({
    name: "grpcio",
    serve: async (path) => mesh?.child("grpcio", python, [script, "server", `unix:${path}`]),
    cases: async (path, authority) => {
      const { code, stdout, stderr } = await run(python, [script, "cases", `unix:${path}`, authority]);
      if (code !== 0) throw new Error(stderr);
      return JSON.parse(stdout) as Record<string, string>;
    },
  });
}

const policy = (count: number): string =>
  [
    "kind: Service\nname: front\n",
    ...Array.from({ length: count }, (_, place) => {
      const service = serviceOf(place);
      return `kind: Service\nname: ${service}\n---\nkind: Authorization\nname: ${service}\nservice: ${service}\nallow:\n  - from: [front]\n    methods: ["*"]\n`;
    }),
  ].join("---\n");

beforeAll(async () => {
  await findPeers();
  for (const why of missing) console.warn(`left out: ${why}`);
  if (peers.length === 0) return;
  const started = await TestMesh.start();
  mesh = started;
  front = await started.proxy({ name: "front", service: "front" });
  for (const [place, peer] of peers.entries()) {
    const path = join(started.dir, `${serviceOf(place)}.sock`);
    await peer.serve(path);
    await started.proxy({ name: serviceOf(place), service: serviceOf(place), flags: ["--app", `unix:${path}`] });
  }
  await started.apply(policy(peers.length));
  for (const place of peers.keys()) await started.healthy(serviceOf(place), 1);
}, 600_000);

afterAll(async () => {
  for (const peer of goPeers) peer.stop();
  await mesh?.stop();
  rmSync(binaries, { recursive: true, force: true });
}, 60_000);

test("metadata, trailers, deadlines, cancels, large messages and streams are as without a mesh, both ways", async () => {
  const wrong: string[] = [];
  let cases = 0;
  for (const caller of peers) {
    for (const [place, { name }] of peers.entries()) {
      const told = await caller.cases(pathOf(front.outbound), serviceOf(place));
      for (const [what, why] of Object.entries(told)) {
        cases += 1;
        if (why !== "") wrong.push(`${caller.name} to ${name}: ${what}: ${why}`);
      }
    }
  }
  expect(wrong).toEqual([]);
  expect(cases).toBeGreaterThanOrEqual(9 * peers.length * peers.length);
}, 600_000);

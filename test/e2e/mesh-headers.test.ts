/** Who may say what in `ashlar-*` headers: the table of docs/answers.md, from an application, and from outside through a gateway. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Metadata, type ServerUnaryCall, type sendUnaryData } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { headerNames } from "../../core/wire/headers.js";
import { ByteClient, startByteServer } from "../support/byte-service.js";
import { TestMesh } from "../support/mesh.js";
import { cliPath, TestProcess } from "../support/processes.js";

const policy = `kind: Service
name: bytes
---
kind: Service
name: front
---
kind: Authorization
name: all
service: bytes
allow: [{ from: [front, gateway/public], methods: ["*"] }]
---
kind: Gateway
name: public
listeners:
  - { name: web, protocols: [grpc, grpc-web, connect], expose: [{ service: bytes, methods: ["test.Bytes/*"] }], callers: { anyone: true } }
`;

interface Row {
  /** What the application gets of it: nothing, or what a proxy says. The sender's own text never arrives. */
  readonly request: "nothing" | "the caller";
  /** What the caller gets where the application sends it with its answer. */
  readonly response: "nothing" | "the revision";
}

const nothing: Row = { request: "nothing", response: "nothing" };
/** A name that is new in `headerNames` does not compile without a row. */
const rows: Record<keyof typeof headerNames, Row> = {
  caller: { request: "the caller", response: "nothing" },
  client: nothing,
  claims: nothing,
  revision: { request: "nothing", response: "the revision" },
  decision: nothing,
  sequence: nothing,
  key: nothing,
  expectedSequence: nothing,
  afterSequence: nothing,
  replay: nothing,
  epoch: nothing,
  unprocessed: nothing,
  labels: nothing,
  mirror: nothing,
  calledMethod: nothing,
};
const named = Object.entries(rows).map(([name, row]) => [headerNames[name as keyof typeof headerNames], row] as const);
const others = [
  "ashlar-attempt",
  "ashlar-of-nobody",
  "ashlar_caller",
  "ashlar_after_sequence",
  "ashlar.client",
  "ashlar-x",
];
const table = [...named, ...others.map((name) => [name, nothing] as const)];

let mesh: TestMesh;
let gateway: TestProcess;
let stopServer: () => void;
let web: string;
let seen: Metadata;
let saying: (readonly [string, string])[];
const clients: Record<string, ByteClient> = {};

beforeAll(async () => {
  mesh = await TestMesh.start();
  const path = join(mesh.dir, "bytes.sock");
  const { server } = await startByteServer(`unix:${path}`, {
    Unary(call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) {
      seen = call.metadata;
      const [headers, trailers] = [new Metadata(), new Metadata()];
      for (const [name, value] of saying) {
        headers.add(name, value);
        trailers.add(name, value);
      }
      call.sendMetadata(headers);
      callback(null, Buffer.alloc(0), trailers);
    },
  });
  stopServer = () => server.forceShutdown();
  const [front] = await Promise.all([
    mesh.proxy({ name: "front", service: "front" }),
    mesh.proxy({ name: "bytes", service: "bytes", flags: ["--app", `unix:${path}`] }),
  ]);
  await mesh.apply(policy);
  await mesh.healthy("bytes", 1);
  const { token } = await mesh.json(0, "token", "--gateway", "public");
  writeFileSync(join(mesh.dir, "gateway.token"), token);
  gateway = new TestProcess("gateway", process.execPath, [
    ...[cliPath, "gateway", "--name", "public", "--token", join(mesh.dir, "gateway.token")],
    ...["--join", join(mesh.data, "join.json"), "--data", join(mesh.dir, "gateway"), "--listener", "web=127.0.0.1:0"],
  ]);
  await gateway.said("ready");
  web = /web=(\S+)/.exec(gateway.stdout)?.[1] ?? "";
  clients.application = new ByteClient(front.outbound, "bytes");
  clients.outside = new ByteClient(web, web);
}, 120_000);

afterAll(async () => {
  for (const client of Object.values(clients)) client.close();
  await gateway?.stop();
  stopServer?.();
  await mesh?.stop();
}, 60_000);

const idOf = (who: string): string => `spiffe://test/${who === "application" ? "service/front" : "gateway/public"}`;

/** What the application got under a name, and what the caller did, in headers and trailers. */
async function call(who: string, name: string, values: readonly string[]) {
  saying = values.map((value) => [name, value] as const);
  const metadata = new Metadata();
  for (const value of values) metadata.add(name, value);
  const { error, headers, trailers } = await (clients[who] as ByteClient).unary(Buffer.alloc(0), metadata);
  expect(error).toBeUndefined();
  return [seen.get(name), headers?.get(name) ?? [], trailers.get(name)];
}

describe.each(["application", "outside"])("from an %s", (who) => {
  test.each(table)("%s", async (name, { request, response }) => {
    for (const values of [["7"], ["7", "8"]]) {
      const [got, inHeaders, inTrailers] = await call(who, name, values);
      expect(got).toEqual(request === "nothing" ? [] : [idOf(who)]);
      expect(inHeaders).toEqual([]);
      expect(inTrailers).toEqual(response === "nothing" ? [] : ["1"]);
    }
  });
});

test.each(table)("from a page, in gRPC-Web: %s", async (name, { request }) => {
  saying = [];
  const headers = { "content-type": "application/grpc-web+proto", [name]: "7" };
  const answer = await fetch(`http://${web}/test.Bytes/Unary`, { method: "POST", headers, body: Buffer.alloc(5) });
  expect(answer.status).toBe(200);
  await answer.arrayBuffer();
  expect(seen.get(name)).toEqual(request === "nothing" ? [] : [idOf("outside")]);
});

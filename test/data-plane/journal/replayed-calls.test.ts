/** Calls by which an operator replays a journal, at an inbound proxy. */
import { Metadata, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { ReplayClient } from "../../../cli/journal-replay/replay-client.js";
import { buildSpiffeId } from "../../../core/identity.js";
import { parseReplayed, renderReplayed } from "../../../core/journal/replayed.js";
import type { Journal } from "../../../core/kinds/journal/journal.js";
import type { ReplayedWrite } from "../../../proto/gen/ashlar/v1/admin.js";
import { buildPolicy, everyone, mesh } from "../../support/proxy-fakes.js";
import { eventually, ProxyPair } from "../../support/proxy-pair.js";

const journal: Omit<Journal, "kind" | "name" | "service"> = {
  mode: "before",
  response: "bytes",
  idempotencyKey: undefined,
  orderBy: undefined,
  methods: ["test.Bytes/Unary"],
  replayers: ["alice"],
};
const original = buildSpiffeId(mesh, "service", "cart");

let pair: ProxyPair;
let seen: Metadata[];
let clients: ReplayClient[];

function frame(text: string): Buffer {
  const bytes = Buffer.from(text);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

const write = (of: Partial<ReplayedWrite> = {}): ReplayedWrite => ({
  ...{ sequence: 7, position: 8, caller: original, method: "test.Bytes/Unary", key: "k ü", order: "", code: 0 },
  fields: [{ name: "x-account", value: Buffer.from("a") }],
  request: frame("pay"),
  ...{ response: Buffer.alloc(0), responseKept: false, responseDigest: Buffer.alloc(0), resolved: false },
  parts: undefined,
  ...of,
});

function operator(name: string): ReplayClient {
  const { certificateChainPem: certificate, privateKeyPem: key } = pair.pki.issue(
    buildSpiffeId(mesh, "operator", name),
  );
  const context = { path: "", rootHash: undefined, admin: "", ca: pair.pki.rootPem, certificate, key };
  const where = { kind: "proxy", address: pair.address, identity: buildSpiffeId(mesh, "service", "bytes") } as const;
  const client = new ReplayClient(where, context, "bytes", 10_000);
  clients.push(client);
  return client;
}

const journaled = (of: Partial<typeof journal>): void =>
  pair.callee.policy.switchTo(
    buildPolicy(2, [{ service: "bytes", allow: [everyone], journal: { ...journal, ...of } }]),
  );

beforeEach(async () => {
  seen = [];
  clients = [];
  pair = await ProxyPair.start({
    Unary: (call, done) => {
      seen.push(call.metadata);
      done(null, Buffer.from(`applied ${call.request}`));
    },
  });
  journaled({});
});

afterEach(() => {
  for (const client of clients) client.close();
  pair.stop();
});

test("the application gets a replayed write with its mark, its sequence and its own caller, and nothing is journaled", async () => {
  const answer = await operator("alice").send(write({ key: "k1" }));
  expect(answer).toMatchObject({ code: 0, response: frame("applied pay"), isRefused: false });
  const of = (name: string) => seen[0]?.get(name);
  expect(of("ashlar-replay")).toEqual(["1"]);
  expect(of("ashlar-sequence")).toEqual(["7"]);
  expect(of("ashlar-key")).toEqual(["k1"]);
  expect(of("ashlar-caller")).toEqual([original]);
  expect(of("x-account")).toEqual(["a"]);
});

test("only a replayer replays, only writes, and only as long as policy names it", async () => {
  const refused = { code: status.PERMISSION_DENIED, isRefused: true };
  expect(await operator("bob").send(write())).toMatchObject(refused);
  expect(await operator("alice").send(write({ method: "test.Bytes/Other" }))).toMatchObject(refused);
  journaled({ replayers: ["carol"] });
  expect(await operator("alice").send(write())).toMatchObject(refused);
  expect(seen).toEqual([]);
});

test("the mark does not reach the application from an application", async () => {
  journaled({ methods: ["test.Bytes/Other"] });
  const metadata = new Metadata();
  metadata.set("ashlar-replay", renderReplayed({ sequence: 1, caller: original, key: "" }));
  const { error } = await pair.client().unary(Buffer.from("pay"), metadata);
  expect(error).toBeUndefined();
  await eventually("the application has it", () => seen.length === 1);
  expect(seen[0]?.get("ashlar-replay")).toEqual([]);
  expect(seen[0]?.get("ashlar-caller")).not.toEqual([original]);
});

test("what a replayed write is survives its header, and nothing else is one", () => {
  for (const key of ["", "k1", "ü ,;", "x".repeat(512)]) {
    const replayed = { sequence: 12, caller: original, key };
    expect(parseReplayed(renderReplayed(replayed))).toEqual(replayed);
  }
  for (const text of ["", "1", "0 spiffe://a/b", `1 ${original} !`, `1  ${original}`, "1 spiffe://"])
    expect(parseReplayed(text)).toBeUndefined();
});

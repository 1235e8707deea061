import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { findDirectReads } from "../../../cli/doctor/direct-facts.js";
import { type DoctorFacts, examine } from "../../../cli/doctor/examine.js";
import { lookAtFolder } from "../../../cli/doctor/local-facts.js";

const nothing: DoctorFacts = { bypassable: [], problems: [], listeners: [], paths: [], egresses: [] };
const codes = (facts: Partial<DoctorFacts>): readonly string[] =>
  examine({ ...nothing, ...facts }).map(({ code }) => code);

test("a mesh on Unix sockets and loopback addresses has no findings", () => {
  const listeners = [
    { what: "nats", address: "tls://127.0.0.1:4222" },
    { what: "admin", address: "[::1]:7400" },
    { what: "admin", address: "localhost:7400" },
  ] as const;
  const paths = [
    { path: "/a", kind: "file", mode: 0o600 },
    { path: "/b", kind: "folder", mode: 0o700 },
  ] as const;
  expect(examine({ ...nothing, listeners, paths })).toEqual([]);
});

test.each([
  ["echo-abc (echo): app tcp 127.0.0.1:50051", "application-on-tcp"],
  ["echo-abc (echo): outbound tcp 127.0.0.1:50052", "outbound-on-tcp"],
  ["echo-abc (echo): upstream payments tcp 127.0.0.1:9001", "outbound-on-tcp"],
  ["gateway-public-abc (gateway/public): listener web without TLS 127.0.0.1:8080", "plain-gateway"],
])("%s", (line, code) => {
  expect(examine({ ...nothing, bypassable: [line] })).toEqual([
    {
      code,
      subject: line.slice(0, line.indexOf(": ")),
      message: expect.stringContaining(line),
      remedy: expect.any(String),
    },
  ]);
});

test("what other machines reach and what other users read is told, other problems are not", () => {
  expect(codes({ listeners: [{ what: "admin", address: "0.0.0.0:7400" }] })).toEqual(["admin-exposed"]);
  expect(codes({ listeners: [{ what: "nats", address: "tls://10.0.0.1:4222" }] })).toEqual(["nats-exposed"]);
  expect(codes({ paths: [{ path: "/k", kind: "file", mode: 0o640 }] })).toEqual(["readable-by-others"]);
  const problems = ["proxies-unsigned", "nats-account", "proxy-behind"].map((code) => ({ code, message: "m" }));
  expect(codes({ problems })).toEqual(["unsigned-proxies", "one-nats-account"]);
});

test("an egress that the caller's own proxy enforces alone is told, one through a gateway is not", () => {
  const one = { name: "cards", address: "api.cards.example:443", through: "" };
  expect(examine({ ...nothing, egresses: [one, { ...one, name: "post", through: "out" }] })).toEqual([
    {
      code: "egress-on-one-side",
      subject: "cards",
      message: expect.stringContaining("api.cards.example:443"),
      remedy: expect.stringContaining("--through NAME"),
    },
  ]);
});

let dir = "";
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "doctor-"));
  mkdirSync(join(dir, "identity"), { mode: 0o755 });
  writeFileSync(join(dir, "identity", "keys.json"), "{}", { mode: 0o644 });
  writeFileSync(join(dir, "join.json"), "{}", { mode: 0o644 });
  writeFileSync(join(dir, "ready.json"), JSON.stringify({ admin: "0.0.0.0:7400", nats: "tls://127.0.0.1:4222" }));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test("a folder that nobody else can enter hides what is in it; an open one shows each secret", () => {
  chmodSync(dir, 0o700);
  expect(lookAtFolder(dir).paths).toEqual([]);
  chmodSync(dir, 0o755);
  const { paths, listeners } = lookAtFolder(dir);
  expect(paths.map(({ path }) => path)).toEqual([join(dir, "identity", "keys.json")]);
  expect(listeners).toEqual([
    { what: "admin", address: "0.0.0.0:7400" },
    { what: "nats", address: "tls://127.0.0.1:4222" },
  ]);
  chmodSync(join(dir, "identity"), 0o700);
  expect(lookAtFolder(dir).paths).toEqual([]);
});

test("a folder that is not there is said with its path", () => {
  expect(() => lookAtFolder(join(dir, "gone"))).toThrow(/cannot read the folder .*gone: no such file or folder/);
});

test("services whose reads may go direct are listed, with the applications that got a certificate", async () => {
  const admin = {
    getRevision: async () => ({
      json: JSON.stringify([
        { kind: "Journal", name: "books", service: "ledger", reads: "direct" },
        { kind: "Journal", name: "other", service: "prices" },
      ]),
    }),
    listAudit: async () => ({
      entries: [
        {
          action: "reader",
          outcome: "ok",
          target: "application of proxy shop-a",
          detail: "service shop, certificate 01, under 02",
        },
        { action: "reader", outcome: "denied", target: "an application", detail: "" },
        { action: "renew", outcome: "ok", target: "proxy shop-a", detail: "" },
      ],
    }),
  };
  const facts = await findDirectReads(admin as never, 3, 7_200_000);
  expect(facts).toEqual({ directReads: [{ service: "ledger", journal: "books" }], readers: ["shop (shop-a)"] });
  expect(examine({ ...nothing, ...facts })).toEqual([
    expect.objectContaining({
      code: "reads-go-direct",
      subject: "ledger",
      message: expect.stringContaining("shop (shop-a)"),
    }),
  ]);
  expect(await findDirectReads(admin as never, 0, 0)).toEqual({});
});

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { ensureBuilt, startUp } from "../support/control-plane-process.js";
import { repository, run, type TestProcess } from "../support/processes.js";

const python = "/usr/bin/python3";
let dataDir: string;
let up: TestProcess | undefined;

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), "ash-py-"));
  const present = await run(python, ["-c", "import grpc, grpc_tools"]);
  if (present.code !== 0) {
    throw new Error("python3-grpcio and python3-grpc-tools are not installed: npm run setup -- --tests");
  }
  await ensureBuilt();
  up = startUp(dataDir, "--mesh", "py.test");
  await up.said("ready");
}, 120_000);

afterAll(async () => {
  await up?.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

test("a client in Python publishes, activates, rolls back and reads errors with their details", async () => {
  const script = join(repository, "test/e2e/admin-python.py");
  const { code, stdout, stderr } = await run(python, [script, join(dataDir, "admin.json"), join(repository, "proto")]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const { publishMs, activateMs, rollbackMs, ...seen } = JSON.parse(stdout) as Record<string, unknown>;
  for (const ms of [publishMs, activateMs, rollbackMs]) expect(Number(ms)).toBeLessThan(5000);

  const error = (status: string, reason: string, violations: string[] = []) =>
    expect.objectContaining({ code: status, reason, domain: "ashlar.dev", violations });
  expect(seen).toEqual({
    rollbackOfNothing: error("FAILED_PRECONDITION", "STALE"),
    refused: [false, false, "bad.yaml", 3, 1],
    first: [true, 1, "spiffe://py.test/operator/admin"],
    again: [false, 1],
    second: [2, true],
    stale: error("ABORTED", "CONFLICT"),
    noFiles: error("INVALID_ARGUMENT", "INVALID_ARGUMENT", ["files"]),
    unknown: error("NOT_FOUND", "NOT_FOUND"),
    epochs: [
      [1, 1],
      [2, 2],
    ],
    accessBefore: [false, "default-deny", 2, 2],
    rolledBack: [3, 1, 2],
    accessAfter: [true, "checkout-charges/allow[0]", 1, 3],
    ghost: [false, "default-deny"],
    watched: [1, 2, 3],
    access: [
      ["checkout", "shop.Payments/Charge", "loses"],
      ["checkout", "shop.Payments/Refund", "gains"],
    ],
    audit: [
      ["login", "ok"],
      ["rollback", "stale"],
      ["publish", "invalid_policy"],
      ["publish", "ok"],
      ["publish", "ok"],
      ["publish", "ok"],
      ["publish", "conflict"],
      ["publish", "invalid_argument"],
      ["activate", "not_found"],
      ["activate", "ok"],
      ["activate", "ok"],
      ["rollback", "ok"],
    ],
    chainHolds: true,
    status: ["py.test", 3, 1, 2, true],
  });
}, 60_000);

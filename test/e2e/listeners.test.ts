/** The control plane's listeners under attack by who is not known, with few descriptors: operators and joiners are served. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { credentials } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { AdminServiceService } from "../../proto/gen/ashlar/v1/admin.js";
import { JoinServiceService } from "../../proto/gen/ashlar/v1/join.js";
import { callUnary, connectGrpc } from "../../runtime/grpc-client.js";
import { type AttackedPort, listenerAttacks, withstand } from "../conformance/listener-attacks.js";
import { ensureBuilt, readOperatorContext, readReady, upArguments } from "../support/control-plane-process.js";
import { TestProcess } from "../support/processes.js";

const root = mkdtempSync(join(tmpdir(), "ash-listen-"));
const dir = join(root, "data");
let control: TestProcess;
beforeAll(async () => {
  await ensureBuilt();
  const limited = 'ulimit -n 300 && exec "$@"';
  control = new TestProcess("up", "sh", ["-c", limited, "up", process.execPath, ...upArguments(dir)]);
  await control.said("ready");
}, 120_000);
afterAll(async () => {
  await control.stop();
  rmSync(root, { recursive: true, force: true });
});

const rssBytes = (): number =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${control.pid}/status`, "utf8"))?.[1] ?? 0) * 1024;

const localhost = { "grpc.ssl_target_name_override": "localhost" }; // Node 26 takes no address for the name in TLS

/** A new connection each time, as a command has. */
async function operatorAsks(): Promise<void> {
  const { admin, ca, certificate, key } = readOperatorContext(dir);
  const own = credentials.createSsl(Buffer.from(ca), Buffer.from(key), Buffer.from(certificate));
  const client = connectGrpc({ address: admin, credentials: own, options: localhost });
  try {
    await callUnary(client, AdminServiceService.getStatus, {}, { timeoutMs: 20_000 });
  } finally {
    client.close();
  }
}

async function joinerAsks(): Promise<void> {
  const { ca } = readOperatorContext(dir);
  const anyone = credentials.createSsl(Buffer.from(ca));
  const client = connectGrpc({ address: readReady(dir).join, credentials: anyone, options: localhost });
  try {
    await callUnary(client, JoinServiceService.getNonce, {}, { timeoutMs: 20_000 });
  } finally {
    client.close();
  }
}

const portOf = (name: "admin" | "join", method: string): AttackedPort => {
  const [host = "", port = ""] = readReady(dir)[name].split(":");
  return { host, port: Number(port), method };
};

describe("with 300 descriptors and 250 connections of a stranger from the operator's own address", () => {
  for (const attack of listenerAttacks) {
    test(`join listener: ${attack.name}`, async () => {
      const seen = await withstand(attack, portOf("join", "/ashlar.v1.JoinService/Join"), {
        count: 250,
        ms: 3000,
        rssBytes,
        ask: () => Promise.all([operatorAsks(), joinerAsks()]),
      });
      expect(seen).toMatchObject({ failed: 0 });
      expect(seen.grewMiB).toBeLessThan(150);
      expect(seen.open).toBeLessThan(250);
    });

    test(`admin listener: ${attack.name}`, async () => {
      const seen = await withstand(attack, portOf("admin", "/ashlar.v1.AdminService/PublishRevision"), {
        count: 250,
        ms: 3000,
        rssBytes,
        ask: operatorAsks,
      });
      expect(seen).toMatchObject({ failed: 0 });
      expect(seen.grewMiB).toBeLessThan(150);
    });
  }
});

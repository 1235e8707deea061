import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, credentials } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { openAuthority } from "../../control-plane/identity/authority.js";
import { startNatsServer } from "../../control-plane/nats/nats-server.js";
import { AshlarError } from "../../core/errors.js";
import { ActivateRevisionRequest, AdminServiceService as admin } from "../../proto/gen/ashlar/v1/admin.js";
import { systemClock } from "../../runtime/clock.js";
import { callUnary, connectGrpc } from "../../runtime/grpc-client.js";
import { silentLogger } from "../../runtime/log.js";
import { renderNatsAccounts } from "../../runtime/nats-accounts.js";
import { generatePrivateKeyPem, publicKeyDer } from "../../runtime/tls-identity-keys.js";
import {
  ensureBuilt,
  type OperatorContext,
  readOperatorContext,
  readReady,
  startUp,
} from "../support/control-plane-process.js";
import type { TestProcess } from "../support/processes.js";
import { until } from "../support/until.js";

const limits = { timeoutMs: 10_000 };
const policy = (method: string) => ({
  name: "shop.yaml",
  content: `{kind: Service, name: payments}\n---\n{kind: Authorization, name: all, service: payments, allow: [{from: ["*"], methods: [${method}]}]}\n`,
});

let dataDir: string;
let up: TestProcess;
const localhost = { "grpc.ssl_target_name_override": "localhost" }; // Node 26 takes no address for the name in TLS

function connect({ admin: address, ca, key, certificate }: OperatorContext): Client {
  const secure = credentials.createSsl(Buffer.from(ca), Buffer.from(key), Buffer.from(certificate));
  return connectGrpc({ address, credentials: secure, options: localhost });
}

async function asOperator<Result>(act: (client: Client) => Promise<Result>): Promise<Result> {
  const client = connect(readOperatorContext(dataDir));
  try {
    return await act(client);
  } finally {
    client.close();
  }
}

const publish = (client: Client, method: string, parent?: number) =>
  callUnary(
    client,
    admin.publishRevision,
    { files: [policy(method)], message: method, parent, allowEmpty: false },
    limits,
  );

const codeOf = (call: Promise<unknown>) =>
  call.then(
    () => "done",
    (error: unknown) => (error instanceof AshlarError ? error.code : String(error)),
  );

beforeAll(async () => {
  await ensureBuilt();
  dataDir = mkdtempSync(join(tmpdir(), "ash-up-"));
  up = startUp(dataDir, "--mesh", "up.test");
  await up.said("ready");
}, 120_000);

afterAll(async () => {
  await up.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

describe("a control plane as a process", () => {
  test("of publishers that race, exactly one wins each revision and the others get a conflict (I1)", async () => {
    await asOperator(async (client) => {
      const racing = Array.from({ length: 6 }, (_, index) => codeOf(publish(client, `a.B/M${index}`, 0)));
      const outcomes = await Promise.all(racing);
      expect(outcomes.filter((outcome) => outcome === "done")).toHaveLength(1);
      expect(outcomes.filter((outcome) => outcome === "conflict")).toHaveLength(5);
      const { revisions } = await callUnary(client, admin.listRevisions, { limit: 0, before: 0 }, limits);
      expect(revisions.map(({ number }) => number)).toEqual([1]);
    });
  });

  test("a request with a field that this version does not know is refused, and nothing is done", async () => {
    await asOperator(async (client) => {
      const unknown = Buffer.from([0x9a, 0x06, 0x01, 0x78]); // field 99, one byte
      const rollback = { ...admin.rollback, requestSerialize: () => unknown };
      expect(
        await codeOf(callUnary(client, rollback, { to: undefined, reason: "", wait: false, waitTimeoutMs: 0 }, limits)),
      ).toBe("invalid_record");
      expect((await callUnary(client, admin.getStatus, {}, limits)).epoch).toBe(0);
    });
  });

  test("the context is the operator's alone, and the join file holds no secret", () => {
    expect(statSync(join(dataDir, "admin.json")).mode & 0o777).toBe(0o600);
    const joinFile = JSON.parse(readFileSync(join(dataDir, "join.json"), "utf8")) as Record<string, unknown>;
    expect(Object.keys(joinFile).sort()).toEqual(["join", "mesh", "rootHash"]);
  });

  test("a service's certificate is denied at the admin listener, and that is noted; none does not get in at all", async () => {
    const context = readOperatorContext(dataDir);
    const random = (count: number) => new Uint8Array(count).fill(7);
    const authority = openAuthority({ dir: dataDir, mesh: "up.test", clock: systemClock, random });
    const key = generatePrivateKeyPem();
    const issued = authority.issueService({
      service: "payments",
      version: "v1",
      proxyId: "payments-1",
      publicKey: publicKeyDer(key),
    });
    const service = connect({ ...context, key, certificate: issued.chainPem });
    expect(await codeOf(callUnary(service, admin.getStatus, {}, limits))).toBe("denied");
    service.close();
    const anonymous = connectGrpc({
      address: context.admin,
      credentials: credentials.createSsl(Buffer.from(context.ca)),
      options: localhost,
    });
    expect(await codeOf(callUnary(anonymous, admin.getStatus, {}, limits))).toBe("unavailable");
    anonymous.close();
    const { entries } = await asOperator((client) =>
      callUnary(client, admin.listAudit, { sinceMs: 0, limit: 0 }, limits),
    );
    expect(entries.at(-1)).toMatchObject({
      action: "refuse",
      actor: "spiffe://up.test/service/payments",
      target: "GetStatus",
      outcome: "denied",
    });
  });

  for (const [name, flags, words] of [
    ["a second one on the same folder", [], "a control plane runs on the data folder"],
    ["a port that is taken", ["--listen"], "is taken by another process"],
  ] as const) {
    test(`${name} is one clear line and exit 1`, async () => {
      const other = mkdtempSync(join(tmpdir(), "ash-up-"));
      const dir = name.startsWith("a second") ? dataDir : other;
      const extra = flags[0] === "--listen" ? ["--listen", readReady(dataDir).admin] : flags;
      const process = startUp(dir, "--log-level", "silent", ...extra);
      expect(await process.exited).toBe(1);
      expect(process.stderr.trim().split("\n")).toEqual([expect.stringContaining(words)]);
      rmSync(other, { recursive: true, force: true });
    });
  }

  test("killed with -9 and started again it goes on with everything, on the same ports, with one NATS", async () => {
    const before = readReady(dataDir);
    await asOperator((client) =>
      callUnary(client, admin.activateRevision, ActivateRevisionRequest.fromPartial({ revision: 1 }), limits),
    );
    await up.stop("SIGKILL");
    up = startUp(dataDir);
    await up.said("ready");
    const after = readReady(dataDir);
    expect({ ...after, pid: 0 }).toEqual({ ...before, pid: 0 });
    expect(up.stderr).toContain("left behind");
    await asOperator(async (client) => {
      const status = await callUnary(client, admin.getStatus, {}, limits);
      expect(status).toMatchObject({ mesh: "up.test", epoch: 1, revision: 1, headRevision: 1, problems: [] });
      expect((await publish(client, "a.B/After", 1)).revision?.number).toBe(2);
      const { entries, chainHolds } = await callUnary(client, admin.listAudit, { sinceMs: 0, limit: 0 }, limits);
      expect(chainHolds).toBe(true);
      expect(entries.some(({ action, outcome }) => action === "activate" && outcome === "ok")).toBe(true);
    });
  }, 90_000);

  test("a data folder of another mesh is refused; SIGTERM ends all of it with exit 0", async () => {
    expect(await up.stop()).toBe(0);
    expect(() => readReady(dataDir)).toThrow();
    const wrong = startUp(dataDir, "--mesh", "other.test", "--log-level", "silent");
    expect(await wrong.exited).toBe(1);
    expect(wrong.stderr).toContain('belongs to mesh "up.test", not "other.test"');
    expect(wrong.stderr.trim().split("\n")).toHaveLength(1);
  });

  test("with a cluster that is not there yet it waits and says so, and serves when the cluster comes", async () => {
    const dir = mkdtempSync(join(tmpdir(), "ash-up-"));
    const first = await startNatsServer({ dir: join(dir, "nats"), log: silentLogger });
    const { port, url, accounts } = first;
    await first.stop();
    const accountFile = join(dir, "account.json");
    writeFileSync(accountFile, JSON.stringify(renderNatsAccounts(accounts)));
    const waiting = startUp(join(dir, "up"), "--nats", url, "--nats-account", accountFile);
    await until("it says that it waits", () => waiting.stderr.includes("waiting for it"));
    const again = await startNatsServer({ dir: join(dir, "nats"), port, log: silentLogger });
    await waiting.said("ready");
    expect(readReady(join(dir, "up")).nats).toBe(url);
    expect(await waiting.stop()).toBe(0);
    await again.stop();
    rmSync(dir, { recursive: true, force: true });
  }, 60_000);
});

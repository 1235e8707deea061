/** Somebody has a copy of one proxy's data folder, so its NATS credential, its certificate and its key, while the mesh serves. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { connect, jwtAuthenticator, type NatsConnection } from "nats";
import type { Endpoint } from "../../core/model.js";
import { encodeEndpoint, encodeHeartbeat } from "../../core/wire/fleet.js";
import { endpointStream, endpointSubject, heartbeatSubject, proxyInbox } from "../../core/wire/subjects.js";
import { withHeaders } from "../../runtime/nats-messages.js";
import { StatementWriter } from "../../runtime/statement-writer.js";
import { toPem } from "../../runtime/tls-identity-keys.js";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall } from "../support/echo-policy.js";
import { buildHeartbeat } from "../support/fake-fleet.js";
import { TestMesh, type TestProxy } from "../support/mesh.js";
import { until } from "../support/until.js";

interface StolenIdentity {
  readonly mesh: string;
  readonly proxyId: string;
  readonly service: string;
  readonly certificateChain: readonly string[];
  readonly natsServers: string[];
  readonly natsJwt: string;
}
interface Listed {
  readonly id: string;
  readonly service: string;
  readonly live: boolean;
}

let mesh: TestMesh;
let client: EchoClient;
let stolen: TestProxy;
let raw: NatsConnection;
let identity: StolenIdentity;
let writer: StatementWriter;

const proxies = async (): Promise<readonly Listed[]> => mesh.json(0, "proxies");

beforeAll(async () => {
  mesh = await TestMesh.start();
  const [one, two, front] = await Promise.all([
    mesh.proxy({ name: "one", service: "echo" }),
    mesh.proxy({ name: "two", service: "echo" }),
    mesh.proxy({ name: "front", service: "front" }),
  ]);
  stolen = await mesh.proxy({ name: "stolen", service: "echo", version: "v2" });
  await Promise.all([mesh.app(one, "echo"), mesh.app(two, "echo")]);
  await mesh.apply(frontMayCall);
  await mesh.healthy("echo", 2);
  client = new EchoClient(front.outbound, "echo");
  await until("front calls echo", async () => (await client.unary({ text: "?" })).code === status.OK);
  const folder = join(stolen.dir, "data", "identity");
  identity = JSON.parse(readFileSync(join(folder, "identity.json"), "utf8")) as StolenIdentity;
  const keys = JSON.parse(readFileSync(join(folder, "keys.json"), "utf8")) as Record<string, string>;
  const chain = identity.certificateChain.map((text) => new Uint8Array(Buffer.from(text, "base64")));
  const certificateChainPem = toPem(chain);
  const current = { mesh: identity.mesh, certificateChainPem, privateKeyPem: keys.privateKeyPem ?? "" };
  writer = new StatementWriter({ identity: { current }, clock: { nowMs: () => Date.now() } });
  raw = await connect({
    servers: identity.natsServers,
    authenticator: jwtAuthenticator(identity.natsJwt, Buffer.from(keys.natsSeed ?? "")),
    inboxPrefix: proxyInbox(identity.proxyId),
  });
}, 90_000);

afterAll(async () => {
  client?.close();
  await raw?.close();
  await mesh?.stop();
}, 60_000);

/** Says `data` on `subject` by every way there is: directly, and by having NATS repeat what was stored as one's own word. */
async function say(kind: "endpoint" | "heartbeat", subject: string, data: Uint8Array): Promise<void> {
  const own = endpointSubject("echo", identity.proxyId);
  const headers = withHeaders(writer.sign(kind, data));
  raw.publish(subject, data, headers);
  raw.publish(subject, data);
  raw.publish(own, data, headers);
  await raw.flush();
  const query = JSON.stringify({ last_by_subj: own });
  raw.publish(`$JS.API.DIRECT.GET.${endpointStream}`, query, { reply: subject });
  await raw.flush();
}

test("calls to others go on, no proxy appears, and apply waits for nobody that is not there", async () => {
  const before = await proxies();
  const victims = before.filter(({ service, id }) => service === "echo" && id !== identity.proxyId);
  expect(victims).toHaveLength(2);
  let attacking = true;
  let rounds = 0;
  const attack = async (): Promise<void> => {
    while (attacking) {
      for (const proxyId of [...victims.map(({ id }) => id), `invented-${rounds}`]) {
        const endpoint: Endpoint = {
          proxyId,
          service: "echo",
          instance: proxyId,
          version: "v1",
          address: "127.0.0.1:1",
          labels: [],
          gone: rounds % 2 === 0,
          timeMs: Date.now() + 60_000,
        };
        await say("endpoint", endpointSubject("echo", proxyId), encodeEndpoint(endpoint));
        const leaving = rounds % 2 === 0;
        const heartbeat = buildHeartbeat(proxyId, { service: "echo", timeMs: Date.now(), leaving });
        await say("heartbeat", heartbeatSubject("echo", proxyId), encodeHeartbeat(heartbeat));
      }
      rounds += 1;
    }
  };
  const attacks = attack();
  const answers = new Set<string>();
  for (let calls = 0; calls < 500 || rounds < 40; calls++) {
    const { code, details } = await client.unary({ text: "?" });
    answers.add(`${code} ${details}`);
  }
  const applied = await mesh.apply(`${frontMayCall}\n---\nkind: Service\nname: another\n`);
  expect(applied).toMatchObject({ created: true });
  const during = await proxies();
  attacking = false;
  await attacks;
  expect([...answers]).toEqual([`${status.OK} OK`]);
  expect(during.map(({ id, live }) => [id, live])).toEqual(before.map(({ id }) => [id, true]));
  const services: { name: string; endpoints: { healthy: boolean; address: string }[] }[] = await mesh.json(
    0,
    "services",
  );
  const endpoints = services.find(({ name }) => name === "echo")?.endpoints.filter(({ healthy }) => healthy);
  expect(endpoints).toHaveLength(2);
}, 90_000);

test("what it says of others as their caller is shown with its name, and takes nobody out of the rotation", async () => {
  const victims = (await proxies()).filter(({ service, id }) => service === "echo" && id !== identity.proxyId);
  const echo = async (): Promise<readonly { proxyId: string; address: string; healthy: boolean; why: string }[]> => {
    const { services } = await mesh.ask((admin) => admin.listServices({}));
    return services.find(({ name }) => name === "echo")?.endpoints ?? [];
  };
  const addressOf = new Map((await echo()).map(({ proxyId, address }) => [proxyId, address]));
  const unreached = victims
    .map(({ id: proxyId }) => ({ proxyId, address: addressOf.get(proxyId) ?? "", why: "it is evil" }))
    .sort((a, b) => (a.proxyId < b.proxyId ? -1 : 1));
  const lie = async (): Promise<void> => {
    const reach = { unreached, reached: [] };
    const heartbeat = buildHeartbeat(identity.proxyId, { service: "echo", version: "v2", timeMs: Date.now(), reach });
    const data = encodeHeartbeat(heartbeat);
    raw.publish(heartbeatSubject("echo", identity.proxyId), data, withHeaders(writer.sign("heartbeat", data)));
    await raw.flush();
  };
  await until("people see who says it", async () => {
    await lie();
    const shown = (await echo()).filter(({ why }) => why.includes("1 of 2 callers cannot connect"));
    return (
      shown.length === 2 && shown.every(({ healthy, why }) => healthy && why.includes(`by ${identity.proxyId} (echo)`))
    );
  });
  const codes = new Set<number>();
  for (let calls = 0; calls < 100; calls++) {
    if (calls % 10 === 0) await lie();
    codes.add((await client.unary({ text: "?" })).code);
  }
  expect([...codes]).toEqual([status.OK]);
}, 60_000);

test("once revoked it is gone for everybody, whatever it still says", async () => {
  await mesh.json(0, "revoke", identity.proxyId, "-m", "copied");
  const data = encodeHeartbeat(buildHeartbeat(identity.proxyId, { service: "echo", timeMs: Date.now() }));
  raw.publish(heartbeatSubject("echo", identity.proxyId), data, withHeaders(writer.sign("heartbeat", data)));
  await raw.flush().catch(() => {}); // NATS may have ended the connection
  const { proxies: counts } = (await mesh.json(0, "status")) as { proxies: { total: number } };
  expect(counts.total).toBe(3);
  await until("its log says so", () => /was revoked at .*\(copied\)/.test(stolen.process.stderr));
  expect((await client.unary({ text: "?" })).code).toBe(status.OK);
}, 60_000);

/**
 * Simulated proxies in a process of their own. Each has a connection, sends its heartbeat every three seconds and
 * verifies every freshness statement, as a real one does. Prints one line of JSON when it is told to stop.
 */
import { createPublicKey } from "node:crypto";
import { connect, jwtAuthenticator, type NatsConnection } from "nats";
import { digestOf } from "../../core/digest.js";
import type { Heartbeat } from "../../core/model.js";
import { encodeHeartbeat } from "../../core/wire/fleet.js";
import { verifyFreshness } from "../../core/wire/records.js";
import { freshnessSubject, heartbeatSubject } from "../../core/wire/subjects.js";
import { withHeaders } from "../../runtime/nats-messages.js";
import type { StatementWriter } from "../../runtime/statement-writer.js";
import { StatementPki, writerOf } from "../../test/support/statements.js";

/** The parent's order, one line on stdin. */
export interface ProxiesOrder {
  readonly url: string;
  readonly jwt: string;
  readonly seed: string;
  readonly count: number;
  readonly mesh: string;
  /** The public key of the freshness statements, in PEM. */
  readonly keyPem: string;
  readonly kid: string;
}

const everyMs = 3000;
const digest = digestOf(Buffer.from("a revision"));

function heartbeatOf(index: number): Heartbeat {
  const held = Array.from({ length: 8 }, (_, back) => ({ number: 100 - back, digest }));
  return {
    proxyId: proxyIdOf(index),
    service: serviceOf(index),
    version: "v1",
    timeMs: Date.now(),
    seenEpoch: 120,
    evaluatingEpoch: 120,
    evaluatingRevision: 100,
    evaluatingDigest: digest,
    prepared: held,
    rejected: undefined,
    certificateExpiresMs: Date.now() + 86_400_000,
    freshnessAgeMs: 900,
    lagMs: 12,
    trustSequence: 3,
    serving: true,
    bypassable: [],
    seenActivation: digest,
    leaving: false,
    calls: undefined,
    callsBefore: undefined,
    labels: [],
  };
}

const serviceOf = (index: number): string => `service-${index % 200}`;
const proxyIdOf = (index: number): string => `service-${index % 200}-p${index}`;

async function main(): Promise<void> {
  const text = await new Promise<string>((resolve) => process.stdin.once("data", (data) => resolve(String(data))));
  const order = JSON.parse(text) as ProxiesOrder;
  const keys = new Map([[order.kid, createPublicKey(order.keyPem)]]);
  const connections: NatsConnection[] = [];
  const counts = { heartbeats: 0, heartbeatBytes: 0, statements: 0, statementBytes: 0 };
  const pki = new StatementPki(order.mesh);
  const writers = Array.from({ length: order.count }, (_, index) =>
    writerOf(pki.issue(serviceOf(index), proxyIdOf(index))),
  );
  const open = async (index: number): Promise<void> => {
    const authenticator = jwtAuthenticator(order.jwt, Buffer.from(order.seed));
    const connection = await connect({ servers: order.url, authenticator, timeout: 60_000, maxReconnectAttempts: 0 });
    connections.push(connection);
    connection.subscribe(freshnessSubject, {
      callback: (_error, { data }) => {
        verifyFreshness(data, order.mesh, keys);
        counts.statements += 1;
        counts.statementBytes += data.length;
      },
    });
    const writer = writers[index] as StatementWriter;
    const beat = (): void => {
      const data = encodeHeartbeat(heartbeatOf(index));
      const headers = writer.sign("heartbeat", data);
      connection.publish(heartbeatSubject(serviceOf(index), proxyIdOf(index)), data, withHeaders(headers));
      counts.heartbeats += 1;
      counts.heartbeatBytes += data.length + Object.values(headers).join("").length;
      setTimeout(beat, everyMs * (0.8 + Math.random() * 0.4)).unref();
    };
    setTimeout(beat, Math.random() * everyMs).unref();
  };
  for (let first = 0; first < order.count; first += 10)
    await Promise.all(Array.from({ length: Math.min(10, order.count - first) }, (_, i) => open(first + i)));
  const roots = pki.trust.body.bundles.flatMap(({ x509Roots }) => x509Roots);
  process.stdout.write(`${JSON.stringify({ roots: roots.map((der) => Buffer.from(der).toString("base64")) })}\n`);
  process.stdin.on("data", () => process.stdout.write(`${JSON.stringify(counts)}\n`));
  process.stdin.on("end", () => process.exit(0));
}

await main();

/** What a client's certificate can still do on calls and connections that were open when it was revoked or ended. */
import { once } from "node:events";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { type Client, credentials } from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { AshlarError } from "../../core/errors.js";
import { AdminServiceService, RollbackRequest, WatchActivationsRequest } from "../../proto/gen/ashlar/v1/admin.js";
import { systemClock } from "../../runtime/clock.js";
import { callServerStream, callUnary, connectGrpc } from "../../runtime/grpc-client.js";
import { type BoundService, serverStreaming, unary } from "../../runtime/grpc-handlers.js";
import { type GrpcServer, startGrpcServer, verifyLeaf } from "../../runtime/grpc-server.js";
import { ListenerTls } from "../../runtime/listener-tls.js";
import { silentLogger } from "../../runtime/log.js";
import { TestPki, type TestSvid } from "../support/test-pki.js";
import { until } from "../support/until.js";

const pki = new TestPki("test");
const revoked = new Set<string>();
let server: GrpcServer;
let nowMs: () => number;
let aborted: string[];
/** Whether connections are judged too, which would end a call without its reason. */
let judgesConnections: boolean;
const toClose: { close?(): void; destroy?(): void }[] = [];

/** A stream that says one thing and then stays, and a call that waits, as `rollback` does for proxies. */
function waitingService(): BoundService {
  const refuse = unary(() => {
    throw new AshlarError("not_supported", "not here");
  });
  const methods = Object.fromEntries(Object.keys(AdminServiceService).map((name) => [name, refuse]));
  const whenAborted = (name: string, signal: AbortSignal): Promise<void> =>
    new Promise((resolve) =>
      signal.addEventListener("abort", () => {
        aborted.push(name);
        resolve();
      }),
    );
  const watchActivations = serverStreaming<object, object>(async function* (_request, { caller = "", signal }) {
    yield {};
    await whenAborted(`watch of ${caller}`, signal);
  });
  const rollback = unary<object, object>(async (_request, { caller = "", signal }) => {
    await whenAborted(`rollback of ${caller}`, signal);
    return {};
  });
  const implementation = { ...methods, watchActivations, rollback };
  return { definition: AdminServiceService, implementation } as unknown as BoundService;
}

beforeEach(async () => {
  revoked.clear();
  aborted = [];
  judgesConnections = false;
  nowMs = () => Date.now();
  const own = pki.issue("spiffe://test/control-plane/one");
  const tls = new ListenerTls({
    ...{ ca: pki.rootPem, cert: own.certificateChainPem, key: own.privateKeyPem },
    ...{ requestCert: true, rejectUnauthorized: true },
  });
  const verifyPeer = (certificate: Uint8Array, atMs: number) => {
    const svid = verifyLeaf(certificate, atMs);
    if (revoked.has(svid.serial)) throw new AshlarError("invalid_identity", "certificate: revoked");
    return svid;
  };
  const isKnown = (certificate: Uint8Array): boolean => {
    if (!judgesConnections) return true;
    try {
      return verifyPeer(certificate, nowMs()) !== undefined;
    } catch {
      return false;
    }
  };
  const limits = { strangersMax: 10, strangersOfAddressMax: 10, knownMax: 4, knownOfOneMax: 3, strangerMsMax: 30_000 };
  server = await startGrpcServer({
    bind: "127.0.0.1:0",
    credentials: { tls, limits, isKnown },
    services: [waitingService()],
    verifyPeer,
    judgeAgainMs: 20,
    log: silentLogger,
    clock: { ...systemClock, nowMs: () => nowMs(), monotonicMs: () => systemClock.monotonicMs() },
  });
});
afterEach(async () => {
  for (const one of toClose.splice(0)) (one.close ?? one.destroy)?.call(one);
  await server.stop(0);
});

const unchecked = { checkServerIdentity: () => undefined };

function operator({ certificateChainPem, privateKeyPem }: TestSvid): Client {
  const parts = [pki.rootPem, privateKeyPem, certificateChainPem].map((pem) => Buffer.from(pem));
  const client = connectGrpc({
    address: server.address,
    credentials: credentials.createSsl(parts[0] ?? null, parts[1], parts[2], unchecked),
    options: { "grpc.ssl_target_name_override": "localhost" }, // Node 26 takes no address for the name in TLS
  });
  toClose.push(client);
  return client;
}

/** Resolves once the stream has begun, with its end. */
async function watch(client: Client): Promise<{ readonly ended: Promise<unknown> }> {
  const { watchActivations } = AdminServiceService;
  const answers = callServerStream(client, watchActivations, WatchActivationsRequest.fromPartial({}), {});
  const iterator = answers[Symbol.asyncIterator]();
  await iterator.next();
  const ended = iterator.next().catch((error: unknown) => error);
  return { ended };
}

const waitInRollback = (client: Client): Promise<unknown> =>
  callUnary(client, AdminServiceService.rollback, RollbackRequest.fromPartial({}), { timeoutMs: 60_000 }).catch(
    (error: unknown) => error,
  );

for (const [name, end] of [
  ["is revoked", (serial: string) => void revoked.add(serial)],
  [
    "expires",
    () => {
      nowMs = () => Date.now() + 7_200_000;
    },
  ],
] as const) {
  test(`a certificate that ${name} loses its open calls`, async () => {
    const [thief, honest] = [
      pki.issue("spiffe://test/operator/thief"),
      pki.issue("spiffe://test/operator/honest", 86_400_000),
    ];
    const client = operator(thief);
    const stream = await watch(client);
    const call = waitInRollback(client);
    const beside = await watch(operator(honest));
    let besideEnded = false;
    void beside.ended.then(() => {
      besideEnded = true;
    });
    end(thief.serial);
    expect(await stream.ended).toMatchObject({ code: "unauthenticated" });
    expect(await call).toMatchObject({ code: "unauthenticated" });
    // The end of the test before may be told late: only the thief's calls count.
    const told = () => aborted.filter((what) => what.endsWith("/thief"));
    await until("both handlers were told", () => told().length === 2);
    expect(told().sort()).toEqual(["rollback", "watch"].map((what) => `${what} of spiffe://test/operator/thief`));
    expect(besideEnded).toBe(false);
  });
}

/** A connection with an operator's certificate, on which nothing is called. */
async function idle({ certificateChainPem: cert, privateKeyPem: key }: TestSvid): Promise<TLSSocket> {
  const place = {
    host: "127.0.0.1",
    port: server.port,
    servername: "localhost",
    ca: pki.rootPem,
    cert,
    key,
    ALPNProtocols: ["h2"],
  };
  const socket = connectTls({ ...place, ...unchecked });
  socket.on("error", () => {}).resume();
  toClose.push(socket);
  await once(socket, "secureConnect");
  return socket;
}

test("connections of certificates that are revoked take no places from operators", async () => {
  const [thief, second, honest] = ["thief", "second", "honest"].map((name) =>
    pki.issue(`spiffe://test/operator/${name}`),
  );
  if (thief === undefined || second === undefined || honest === undefined) throw new Error("no certificates");
  judgesConnections = true;
  const opened: TLSSocket[] = [];
  for (const one of [thief, thief, thief, second]) opened.push(await idle(one));
  await new Promise((resolve) => setImmediate(resolve));
  const closed = opened.map((socket) => once(socket, "close"));
  for (const { serial } of [thief, second]) revoked.add(serial);
  await Promise.all(closed);
  const { ended } = await watch(operator(honest));
  expect(await Promise.race([ended, Promise.resolve("open")])).toBe("open");
});

test("a stolen certificate that nobody revoked leaves places to another operator", async () => {
  const [thief, honest] = [pki.issue("spiffe://test/operator/thief"), pki.issue("spiffe://test/operator/honest")];
  const held: TLSSocket[] = [];
  for (let n = 0; n < 8; n += 1) held.push(await idle(thief));
  await until("those too many are closed", () => held.filter((socket) => !socket.destroyed).length === 3);
  const { ended } = await watch(operator(honest));
  expect(await Promise.race([ended, Promise.resolve("open")])).toBe("open");
});

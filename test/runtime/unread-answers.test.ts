/** Strangers that do not read what they asked for hold a bounded number of bytes, and keep no reader out. */
import { type ClientHttp2Session, connect } from "node:http2";
import { credentials } from "@grpc/grpc-js";
import { afterEach, describe, expect, test } from "@jest/globals";
import { AshlarError } from "../../core/errors.js";
import { GetTrustResponse, JoinServiceService } from "../../proto/gen/ashlar/v1/join.js";
import { systemClock } from "../../runtime/clock.js";
import { callUnary, connectGrpc } from "../../runtime/grpc-client.js";
import { bindService, unary } from "../../runtime/grpc-handlers.js";
import { startGrpcServer } from "../../runtime/grpc-server.js";
import { ListenerTls } from "../../runtime/listener-tls.js";
import { silentLogger } from "../../runtime/log.js";
import { UnreadAnswers } from "../../runtime/unread-answers.js";
import { TestPki } from "../support/test-pki.js";
import { until } from "../support/until.js";

const toStop: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of toStop.splice(0).reverse()) await stop();
});

describe("unread answers", () => {
  const world = () => {
    const unread = new UnreadAnswers({ bytesMax: 100, bytesOfNetworkMax: 60 });
    const dropped: string[] = [];
    const hold = (name: string, network: string, bytes = 20) => {
      const answer = { network, bytes, drop: () => void dropped.push(name) };
      unread.hold(answer);
      return answer;
    };
    return { unread, dropped, hold };
  };

  test("of one network have a bound: its oldest goes", () => {
    const { unread, dropped, hold } = world();
    for (const name of ["a1", "a2", "a3", "a4"]) hold(name, "a");
    expect([dropped, unread.bytes]).toEqual([["a1"], 60]);
  });

  test("of all together have one: the oldest of the network that has most goes, and never a modest one", () => {
    const { unread, dropped, hold } = world();
    hold("honest", "h");
    for (const name of ["a1", "a2", "a3"]) hold(name, "a");
    for (const name of ["b1", "b2", "b3"]) hold(name, "b");
    expect([dropped, unread.bytes]).toEqual([["a1", "a2"], 100]);
  });

  test("that are read make room, once; and one that is larger than a bound is held alone", () => {
    const { unread, dropped, hold } = world();
    const read = hold("a1", "a");
    unread.release(read);
    unread.release(read);
    expect(unread.bytes).toBe(0);
    hold("large", "a", 500);
    expect([dropped, unread.bytes]).toEqual([[], 500]);
    hold("next", "a");
    expect([dropped, unread.bytes]).toEqual([["large"], 20]);
  });
});

test("ten that do not read lose all but the youngest; who reads is answered meanwhile", async () => {
  const pki = new TestPki("mesh");
  const { certificateChainPem: cert, privateKeyPem: key } = pki.issue("spiffe://mesh/control-plane/main");
  const record = Buffer.alloc(1024 * 1024);
  const refuse = (): never => {
    throw new AshlarError("not_supported", "not here");
  };
  const [join, renew, offer, getNonce] = [unary(refuse), unary(refuse), unary(refuse), unary(refuse)];
  const issueReader = unary(refuse);
  const getTrust = unary(() => GetTrustResponse.fromPartial({ records: [record] }));
  const server = await startGrpcServer({
    bind: "127.0.0.1:0",
    credentials: {
      tls: new ListenerTls({ cert, key, ca: pki.rootPem }),
      limits: { strangersMax: 64, strangersOfAddressMax: 64, knownMax: 0, knownOfOneMax: 0, strangerMsMax: 120_000 },
      isKnown: undefined,
      unread: { bytesMax: 6 * 1024 * 1024, bytesOfNetworkMax: 3.5 * 1024 * 1024 },
    },
    services: [bindService(JoinServiceService, { getTrust, join, renew, offer, getNonce, issueReader })],
    log: silentLogger,
    clock: systemClock,
  });
  toStop.push(() => server.stop(0));
  const slow: ClientHttp2Session[] = [];
  for (let n = 0; n < 10; n += 1) {
    const session = connect(`https://127.0.0.1:${server.port}`, { rejectUnauthorized: false, servername: "localhost" });
    toStop.push(() => session.destroy());
    slow.push(session);
    const stream = session
      .on("error", () => {})
      .request({
        ":method": "POST",
        ":path": "/ashlar.v1.JoinService/GetTrust",
        "content-type": "application/grpc",
        te: "trailers",
      });
    stream.on("error", () => {});
    stream.end(Buffer.alloc(5));
    await new Promise((resolve) => stream.once("response", resolve)); // and what comes then is never read
  }
  const client = connectGrpc({
    address: server.address,
    credentials: credentials.createSsl(Buffer.from(pki.rootPem), null, null, { checkServerIdentity: () => undefined }),
    options: { "grpc.ssl_target_name_override": "localhost" }, // Node 26 takes no address for the name in TLS
  });
  toStop.push(() => client.close());
  const { records } = await callUnary(client, JoinServiceService.getTrust, { afterSequence: 0 }, { timeoutMs: 20_000 });
  expect(records[0]?.length).toBe(record.length);
  await until("two are left", () => slow.filter((session) => !session.destroyed).length <= 2);
  expect(slow.map((session) => session.destroyed)).toEqual([...Array(8).fill(true), false, false]);
  await expect(callUnary(client, JoinServiceService.getNonce, {}, { timeoutMs: 20_000 })).rejects.toMatchObject({
    code: "not_supported",
  });
});

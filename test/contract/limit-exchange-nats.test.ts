import { expect, test } from "@jest/globals";
import type { Endpoint } from "../../core/model.js";
import { encodeLimitReport } from "../../core/wire/limit-report.js";
import { limitsSubject } from "../../core/wire/subjects.js";
import { NatsLimitExchange } from "../../data-plane/limits/nats-limit-exchange.js";
import { Tenure } from "../../data-plane/takeover/tenure.js";
import { silentLogger } from "../../runtime/log.js";
import { startTestNats, type TestNats } from "../support/nats.js";
import { natsPrograms } from "../support/nats-programs.js";
import { FakeIdentity } from "../support/proxy-fakes.js";
import { StatementPki, writerOf } from "../support/statements.js";
import { untilTrue } from "../support/until.js";
import { describeLimitExchange } from "./limit-exchange.contract.js";

const ids = ["p1", "p2", "p3"];
const pki = new StatementPki();
const instances = ids.map(
  (proxyId): Endpoint => ({
    proxyId,
    service: "payments",
    instance: proxyId,
    version: "v1",
    address: "127.0.0.1:1",
    labels: [],
    gone: false,
    timeMs: 1,
  }),
);

async function openExchange(nats: TestNats, proxyId: string, signal: AbortSignal) {
  const bus = await nats.connect(await nats.proxyUser("payments", proxyId));
  const identity = new FakeIdentity(pki.issue("payments", proxyId));
  const signing = { statements: writerOf(identity.current), reader: pki.reader() };
  const deps = {
    bus,
    identity,
    ...signing,
    endpoints: { endpoints: () => instances },
    log: silentLogger,
    tenure: new Tenure("owner"),
  };
  const exchange = new NatsLimitExchange(deps, signal);
  await bus.flush();
  return { bus, exchange };
}

for (const { name, program } of natsPrograms)
  describeLimitExchange(`limit reports over ${name}`, async () => {
    const nats = await startTestNats({ streams: false, program });
    const life = new AbortController();
    const opened = await Promise.all(ids.map((id) => openExchange(nats, id, life.signal)));
    return {
      members: opened.map(({ exchange }) => exchange),
      proxies: 3,
      lose: async () => {
        await Promise.all(nats.servers.map((server) => server.stop()));
      },
      close: async () => {
        life.abort();
        await nats.stop();
      },
    };
  });

test("a proxy cannot report as another, and what does not agree with its subject is not heard", async () => {
  const nats = await startTestNats({ streams: false });
  const life = new AbortController();
  try {
    const honest = await openExchange(nats, "p1", life.signal);
    const liar = await openExchange(nats, "p2", life.signal);
    const stranger = await nats.connect(await nats.proxyUser("checkout", "p9"));
    const heard: string[] = [];
    honest.exchange.onReport((peer) => heard.push(peer));
    const asAnother = encodeLimitReport({ limits: [] }, { service: "payments", proxyId: "p3" });
    liar.bus.publish(limitsSubject("payments", "p3"), asAnother); // NATS refuses it
    liar.bus.publish(limitsSubject("payments", "p2"), asAnother); // the reader does
    liar.bus.publish(limitsSubject("payments", "p2"), Buffer.from("rubbish"));
    stranger.publish(
      limitsSubject("payments", "p9"),
      encodeLimitReport({ limits: [] }, { service: "payments", proxyId: "p9" }),
    );
    await untilTrue(() => {
      liar.exchange.publish({ limits: [] }, "mesh");
      return heard.length > 0;
    });
    expect(new Set(heard)).toEqual(new Set(["p2"]));
  } finally {
    life.abort();
    await nats.stop();
  }
}, 30_000);

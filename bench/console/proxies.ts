/**
 * Simulated proxies, one of each service. They run in a process of their own, so that their CPU time is not the control
 * plane's.
 */
import { callBoundsMs, codesCount, type TrafficCounts } from "../../core/look/look-model.js";
import type { Signed, Trust } from "../../core/model.js";
import { encodeHeartbeat } from "../../core/wire/fleet.js";
import { encodeTrafficReport } from "../../core/wire/look.js";
import { repeatHeader } from "../../core/wire/statement.js";
import { heartbeatSubject, lookSubject } from "../../core/wire/subjects.js";
import { systemClock } from "../../runtime/clock.js";
import type { StatementWriter } from "../../runtime/statement-writer.js";
import { buildHeartbeat } from "../../test/support/fake-fleet.js";
import { StatementPki, writerOf } from "../../test/support/statements.js";

export interface FleetSize {
  readonly services: number;
  readonly callsPerSecond: number;
}

/** A message on the bus: subject, body, headers. */
export type SaidOnBus = readonly [string, Uint8Array, Readonly<Record<string, string>>];

/** What this process sends: first the trust record for its proxies, then their messages. */
export type FromProxies = { readonly trust: Signed<Trust> } | { readonly said: readonly SaidOnBus[] };

export const serviceNames = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, index) => `service-${index}`);

/** What this process is told: which order to answer, and how often. */
export interface Asked {
  readonly id: string;
  readonly everyMs: number;
}

interface Simulated {
  readonly service: string;
  readonly proxyId: string;
  readonly writer: StatementWriter;
  /** The two services that the proxy calls. */
  readonly calls: readonly string[];
}

const heartbeatMs = 3000;
/** Into how many turns a second is divided, since a fleet's messages are spread over time. */
const turns = 50;

function* speak(
  { service, proxyId, writer, calls }: Simulated,
  second: number,
  { id: order, everyMs }: Asked,
  callsPerSecond: number,
) {
  if (second % (heartbeatMs / 1000) === 0) {
    const beat = encodeHeartbeat(buildHeartbeat(proxyId, { service, timeMs: systemClock.nowMs() }));
    const headers = {
      ...writer.sign("heartbeat", beat),
      ...(second >= 2 * (heartbeatMs / 1000) && { [repeatHeader]: "1" }),
    };
    yield [heartbeatSubject(service, proxyId), beat, headers] as const;
  }
  if (order === "" || second % (everyMs / 1000) !== 0) return;
  const callsEach = (callsPerSecond * everyMs) / 1000;
  const counts = calls.flatMap((other) => [true, false].map((outbound) => countsOf(other, outbound, callsEach)));
  const report = encodeTrafficReport({ order, intervalMs: everyMs, counts }, { service, proxyId });
  yield [lookSubject(service, proxyId, order), report, writer.sign("look", report)] as const;
}

function countsOf(other: string, outbound: boolean, callsEach: number): TrafficCounts {
  const calls = Math.max(1, Math.round(callsEach));
  return {
    ...{ outbound, other, method: "shop.More/Do", version: "v1", streams: calls },
    codes: Array.from({ length: codesCount }, (_, code) => (code === 0 ? calls : 0)),
    took: Array.from({ length: callBoundsMs.length + 1 }, (_, at) => (at === 2 ? calls : 0)),
  };
}

async function run({ services, callsPerSecond }: FleetSize, send: (message: FromProxies) => void): Promise<void> {
  const pki = new StatementPki();
  const names = serviceNames(services);
  const proxies = names.map((service, index): Simulated => {
    const proxyId = `proxy-${index}`;
    const calls = [index * 2 + 1, index * 2 + 2].map((at) => names[at % services] ?? "");
    return { service, proxyId, writer: writerOf(pki.issue(service, proxyId)), calls };
  });
  let order: Asked = { id: "", everyMs: 1000 };
  process.on("message", (asked) => {
    order = asked as Asked;
  });
  send({ trust: pki.trust });
  // each proxy has two edges, whose calls are counted by both of their proxies
  const edgeCallsPerSecond = callsPerSecond / services / 2;
  for (let turn = 0; ; turn++) {
    const second = Math.floor(turn / turns);
    const speakers = proxies.filter((_, at) => at % turns === turn % turns);
    send({ said: speakers.flatMap((proxy) => [...speak(proxy, second, order, edgeCallsPerSecond)]) });
    await systemClock.sleep(1000 / turns);
  }
}

if (process.send !== undefined) {
  process.on("disconnect", () => process.exit());
  void run(JSON.parse(process.argv[2] ?? ""), (message) => process.send?.(message));
}

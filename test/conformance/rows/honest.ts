/** Rows 1, 7 and 8 the other way round: what honest callers do beside others on one connection harms nobody. */
import { until } from "../../support/until.js";
import type { Arena, Check, Verdict } from "../check.js";
import { verdict } from "../check.js";
import { pause } from "../child.js";
import { estimators, lateFrames, missedDeadlines, type Trouble, troubles } from "../troubles.js";

async function endedConnections(arena: Arena): Promise<number> {
  const all = await Promise.all(arena.mesh.proxies.map((proxy) => proxy.metrics()));
  return all
    .flatMap((metrics) => [...metrics])
    .filter(([name]) => name.startsWith("ashlar_connections_ended_total"))
    .reduce((sum, [, count]) => sum + count, 0);
}

/** Good calls beside it are the arena's probe: it shares the connections of this trouble. */
async function endure(arena: Arena, trouble: Trouble): Promise<Verdict> {
  arena.hostile.become((peer) => peer.close());
  const before = await endedConnections(arena);
  const stop = new AbortController();
  const work = trouble({ open: () => arena.openCaller(), scheme: arena.callerScheme }, stop.signal);
  await pause(arena.seconds(60, arena.target === "gateway" ? 2 : 4) * 1000);
  stop.abort();
  const wrong = await work;
  const ended = (await endedConnections(arena)) - before;
  await until("a bystander's call ends", () => arena.probe.result().calls + arena.probe.result().failed > 0);
  const { calls, failed } = arena.probe.result();
  const told = [...wrong].map(([what, count]) => `${count} x ${what}`).join(", ");
  const seen = `${failed} of ${calls + failed} bystanders' calls failed, ${ended} connections ended${told === "" ? "" : `; ${told}`}`;
  return verdict(failed === 0 && ended === 0 && wrong.size === 0, seen);
}

/** The troubles of a quick run at a gateway, where callers have the limits of strangers: those that come near to them. */
const quickAtGateway = new Set([missedDeadlines, estimators, lateFrames]);

export const honest: readonly Check[] = troubles.map(([name, trouble]) => ({
  row: 8,
  name: `honest: ${name}`,
  counted: false,
  slowAtGateway: !quickAtGateway.has(trouble),
  run: (arena) => endure(arena, trouble),
}));

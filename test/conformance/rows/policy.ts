/** Rows 29, 32 and 36: default deny, no identity carried over, policy pushed under load. */

import type { RawPeer } from "../../support/raw-peer.js";
import type { RawStream } from "../../support/raw-stream.js";
import { until } from "../../support/until.js";
import { data, headers, message, request } from "../../support/wire.js";
import {
  type Arena,
  type Check,
  call,
  connectionOutcome,
  newId,
  oneOf,
  outcome,
  together,
  type Verdict,
  verdict,
} from "../check.js";
import { pause } from "../child.js";
import { basePolicy, policyNumber, probeOnlyPolicy } from "../policy.js";

const denied = (peer: RawPeer, stream: RawStream): Verdict => {
  const text = stream.value("grpc-message") ?? "";
  const isWhole = /^denied \(decision [\w-]+, revision \d+\)$/.test(text);
  const hasBoth = stream.value("ashlar-decision") !== undefined && stream.value("ashlar-revision") !== undefined;
  const seen = outcome(peer, stream);
  return verdict(seen === "grpc-status 7" && isWhole && hasBoth, `${seen} ${text}`);
};

async function defaultDeny(arena: Arena): Promise<Verdict> {
  const parts: (readonly [string, Verdict])[] = [];
  const front = await arena.connect();
  for (const method of ["/checks.Echo/Forbidden", "/checks.Other/Unary", "/checks.Echo/Nothing"]) {
    parts.push([method, denied(front, await call(front, request(method)))]);
  }
  const stranger = await arena.connect({}, arena.attacked, arena.strangerCredentials);
  parts.push(["a stranger", denied(stranger, await call(stranger))]);
  const application = await arena.connectOutbound();
  const unknown = await call(application, request("/checks.Echo/Unary", { ":authority": "nobody", ":scheme": "http" }));
  parts.push(["unknown service", oneOf(outcome(application, unknown), "grpc-status 14")]);
  return together(parts);
}

async function nothingAllowed(arena: Arena): Promise<Verdict> {
  await arena.mesh.apply(probeOnlyPolicy);
  try {
    const peer = await arena.connect();
    return denied(peer, await call(peer));
  } finally {
    await arena.mesh.apply(basePolicy);
  }
}

/** A condition that cannot be told denies. */
async function conditionFails(arena: Arena): Promise<Verdict> {
  const condition = `${basePolicy.replace(/methods: \[checks\.Echo\/Unary, [^\]]*\]\n$/, (text) => `${text}    when: request.headers["x-absent"] == "yes"\n`)}`;
  if (condition === basePolicy) throw new Error("the policy has no place for a condition");
  await arena.mesh.apply(condition);
  try {
    const peer = await arena.connect();
    return denied(peer, await call(peer));
  } finally {
    await arena.mesh.apply(basePolicy);
  }
}

/** Two identities in turn, calls that are denied between those that are not. */
async function stateLeak(arena: Arena): Promise<Verdict> {
  const front = await arena.connect();
  const stranger = await arena.connect({}, arena.attacked, arena.strangerCredentials);
  const total = arena.seconds(100_000, 4000);
  const outcomes = new Map<string, number>();
  const atOnce = 20;
  for (let done = 0; done < total; done += atOnce) {
    const calls = Array.from({ length: atOnce }, async (_, place) => {
      const who = place % 3;
      const peer = who === 1 ? stranger : front;
      const stream = await call(peer, request(who === 2 ? "/checks.Echo/Forbidden" : "/checks.Echo/Unary"));
      const name = `${["front", "stranger", "front forbidden"][who]} ${outcome(peer, stream)}`;
      outcomes.set(name, (outcomes.get(name) ?? 0) + 1);
      peer.streams.delete(stream.id);
    });
    await Promise.all(calls);
  }
  const callers = new Set(arena.upstream.seen.map(({ stream }) => stream.value("ashlar-caller")));
  const told = [...outcomes].map(([name, count]) => `${count} x ${name}`).join(", ");
  const wanted = new Set(["front grpc-status 0", "stranger grpc-status 7", "front forbidden grpc-status 7"]);
  const isRight = [...outcomes.keys()].every((name) => wanted.has(name));
  return verdict(
    isRight && [...callers].join() === "spiffe://checks/service/front",
    `${told}; upstream saw ${[...callers].join()}`,
  );
}

/** Load on connections that stay, long streams open; every proxy evaluates each revision soon after it is applied. */
async function pushUnderLoad(arena: Arena): Promise<Verdict> {
  const peers = await Promise.all(Array.from({ length: 4 }, () => arena.connect()));
  const long = peers.map((peer) => {
    const stream = peer.stream(newId());
    peer.send(headers(stream.id, request("/checks.Echo/Wait")), data(stream.id, message("x")));
    return stream;
  });
  let isOver = false;
  let calls = 0;
  const failures: string[] = [];
  const load = peers.map(async (peer) => {
    while (!isOver) {
      const stream = await call(peer);
      calls++;
      const seen = outcome(peer, stream);
      if (seen !== "grpc-status 0") failures.push(seen);
      peer.streams.delete(stream.id);
      if (peer.closed) return;
      await pause(arena.quick ? 4 : 2);
    }
  });
  const behindMs: number[] = [];
  const pushes = arena.seconds(100, 2);
  for (let push = 1; push <= pushes; push++) {
    await arena.mesh.apply(policyNumber(push));
    const startedMs = performance.now();
    const { epoch } = JSON.parse(await arena.mesh.mustRun("status", "-o", "json"));
    await until("every proxy evaluates it", async () => {
      const read = await Promise.all(arena.mesh.proxies.map((proxy) => proxy.metrics()));
      return read.every((metrics) => metrics.get("ashlar_epoch_evaluating") === epoch);
    });
    behindMs.push(performance.now() - startedMs);
  }
  isOver = true;
  await Promise.all(load);
  const cut = long.filter((stream) => stream.isOver).length;
  const goaways = peers.filter((peer) => peer.goaways.length > 0).map((peer) => connectionOutcome(peer));
  const seen = `${pushes} pushes, ${calls} calls, ${failures.length} lost ${failures[0] ?? ""}, ${goaways.length} GOAWAY, ${cut} of 4 long streams cut, last proxy ${Math.round(Math.max(...behindMs))} ms after apply`;
  await arena.mesh.apply(basePolicy);
  return verdict(
    failures.length === 0 && goaways.length === 0 && cut === 0 && arena.isInTime(Math.max(...behindMs), 2000),
    seen,
  );
}

export const policies: readonly Check[] = [
  { row: 29, name: "no rule matches", untouched: true, run: defaultDeny },
  { row: 29, name: "a policy that allows nothing", untouched: true, run: nothingAllowed },
  { row: 29, name: "a condition that cannot be told", untouched: true, run: conditionFails },
  { row: 32, name: "identities in turn", run: stateLeak },
  { row: 36, name: "policy pushed under load", counted: false, run: pushUnderLoad },
];

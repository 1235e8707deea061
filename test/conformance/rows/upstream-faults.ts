/** Row 40, and the misbehaving servers of row 14: whatever the application does, the caller gets an answer. */
import { errorCode } from "../../../data-plane/http2/protocol.js";
import { data, headers, message, reset } from "../../support/wire.js";
import { type Arena, type Check, call, finished, newId, outcome, together, type Verdict, verdict } from "../check.js";
import { pause } from "../child.js";
import { responseHead } from "../upstream.js";

import { type Fault, fields, reply } from "./application-fault.js";
import { faults } from "./application-faults.js";
import { rfc } from "./application-rules.js";

/** Every fault with a fresh connection; then the upstream behaves, and the next call must be served. */
async function sufferAll(arena: Arena, list: readonly Fault[]): Promise<Verdict> {
  const parts: (readonly [string, Verdict])[] = [];
  for (const { name, behave, wanted, options } of list) {
    arena.hostile.become(behave, options);
    const peer = await arena.connect({}, arena.wild);
    const startedMs = performance.now();
    const stream = await call(peer, fields("20S"), { ms: 25_000 });
    const seen = outcome(peer, stream);
    const isQuick = performance.now() - startedMs < 15_000;
    arena.hostile.become(reply);
    await pause(20);
    let next = "";
    for (let attempt = 0; attempt < 40 && next !== "grpc-status 0"; attempt++) {
      const after = await arena.connect({}, arena.wild);
      next = outcome(after, await call(after, fields("5S"), { ms: 8000 }));
      after.close();
      if (next !== "grpc-status 0") await pause(100);
    }
    const late = isQuick ? "" : " only at the deadline";
    const then = next === "grpc-status 0" ? "" : `, then ${next}`;
    parts.push([name, verdict(wanted.test(seen) && isQuick && next === "grpc-status 0", `${seen}${late}${then}`)]);
    peer.close();
  }
  return together(parts);
}

async function deadlines(arena: Arena): Promise<Verdict> {
  const parts: (readonly [string, Verdict])[] = [];
  arena.hostile.become(() => {});
  for (const [timeout, most] of [
    ["300m", 1500],
    ["1n", 800],
    ["0m", 800],
    ["0S", 800],
    ["1S", 2200],
  ] as const) {
    const peer = await arena.connect({}, arena.wild);
    const startedMs = performance.now();
    const seen = outcome(peer, await call(peer, fields(timeout), { ms: 10_000 }));
    const tookMs = Math.round(performance.now() - startedMs);
    parts.push([
      timeout,
      verdict(seen === "grpc-status 4" && arena.isInTime(tookMs, most), `${seen} after ${tookMs} ms`),
    ]);
  }
  await pause(200);
  const left = arena.hostile.peers
    .flatMap((peer) => [...peer.streams.values()])
    .filter((stream) => stream.resetCode === undefined).length;
  parts.push(["upstream calls", verdict(left === 0, `${left} of them not cancelled`)]);
  return together(parts);
}

/** A client's cancel reaches the application within 50 ms. */
async function cancelReaches(arena: Arena): Promise<Verdict> {
  arena.hostile.become(() => {});
  const peer = await arena.connect({}, arena.wild);
  const id = newId();
  peer.send(headers(id, fields()), data(id, message("x")));
  const seen = () => arena.hostile.peers.flatMap((one) => [...one.streams.values()])[0];
  for (let wait = 0; wait < 100 && seen() === undefined; wait++) await pause(10);
  const startedMs = performance.now();
  peer.send(reset(id, errorCode.cancel));
  while (seen()?.resetCode === undefined && performance.now() - startedMs < 5000) await pause(1);
  const tookMs = performance.now() - startedMs;
  return verdict(
    seen()?.resetCode === errorCode.cancel && arena.isInTime(tookMs, 50),
    `code ${seen()?.resetCode} after ${tookMs.toFixed(1)} ms`,
  );
}

/** The answer is complete before the request is: the rest is not wanted. */
async function earlyAnswer(arena: Arena): Promise<Verdict> {
  arena.hostile.become((peer, { id }) =>
    peer.send(headers(id, [...responseHead, ["grpc-status", "9"]], { endStream: true })),
  );
  const peer = await arena.connect({}, arena.wild);
  const id = newId();
  const stream = peer.stream(id);
  peer.send(headers(id, fields()), data(id, message("x")));
  await peer.until(() => stream.resetCode !== undefined, 3000);
  const told = `grpc-status ${stream.value("grpc-status")}, then RST ${stream.resetCode}`;
  await finished(peer, stream);
  return verdict(stream.value("grpc-status") === "9" && stream.resetCode === errorCode.noError, told);
}

export const upstreamFaults: readonly Check[] = [
  {
    row: 14,
    name: `RFC 9113 against an application (${rfc.length})`,
    slowAtGateway: true,
    run: (arena) => sufferAll(arena, rfc),
  },
  { row: 14, name: `misbehaving servers (${faults.length})`, run: (arena) => sufferAll(arena, faults) },
  { row: 40, name: "deadlines, expired ones too", run: deadlines },
  { row: 40, name: "cancel reaches the application", run: cancelReaches },
  { row: 40, name: "early answer: RST_STREAM(NO_ERROR)", counted: false, run: earlyAnswer },
];

/** Row 40: too much of what a proxy is asked to hold, pass on or send again. */
import { join } from "node:path";
import { errorCode } from "../../../data-plane/http2/protocol.js";
import { data, headers, message, request, reset } from "../../support/wire.js";
import { type Arena, type Check, call, finished, newId, outcome, type Verdict, verdict } from "../check.js";
import { pause } from "../child.js";
import { fields, reply } from "./application-fault.js";

/** A message that says it has more bytes than pass. */
async function messageLimit(arena: Arena): Promise<Verdict> {
  const peer = await arena.connect();
  const id = newId();
  const stream = peer.stream(id);
  const prefix = Buffer.of(0, 0xff, 0xff, 0xff, 0xff);
  peer.send(headers(id, request("/checks.Echo/Unary")), data(id, Buffer.concat([prefix, Buffer.alloc(1000)])));
  await finished(peer, stream);
  const seen = outcome(peer, stream);
  const upstream = arena.upstream.seen.map((one) => Buffer.concat(one.stream.body).length);
  const bytes = upstream.reduce((sum, length) => sum + length, 0);
  const after = outcome(peer, await call(peer));
  return verdict(
    seen === "grpc-status 8" && bytes === 0 && after === "grpc-status 0",
    `${seen}; upstream saw ${bytes} bytes of it; next call ${after}`,
  );
}

/** An application that refuses every stream: what is sent again is a fifth of the calls and ten a second. */
async function retryBudget(arena: Arena): Promise<Verdict> {
  let starts = 0;
  arena.hostile.become((peer, { id }) => {
    starts++;
    peer.send(reset(id, errorCode.refusedStream));
  });
  const peer = await arena.connect({}, arena.wild);
  const calls = arena.seconds(2000, 600);
  const startedMs = performance.now();
  const seen = new Map<string, number>();
  for (let done = 0; done < calls; done++) {
    const what = outcome(peer, await call(peer, fields("5S")));
    seen.set(what, (seen.get(what) ?? 0) + 1);
  }
  const seconds = (performance.now() - startedMs) / 1000;
  arena.hostile.become(reply);
  const most = calls * 1.2 + 10 * (seconds + 1) + 50; // the calls of the last seconds have earned some, too
  const told = [...seen].map(([what, count]) => `${count} x ${what}`).join(", ");
  const right = seen.get("grpc-status 14") === calls && starts <= most;
  return verdict(right, `${told}; ${starts} starts for ${calls} calls in ${seconds.toFixed(1)} s`);
}

/** A proxy that may hold 4 MiB, and callers that take none of 4 MiB each. */
async function memoryBudget(arena: Arena): Promise<Verdict> {
  const app = join(arena.mesh.dir, "app.sock");
  const flags = ["--buffer-mib", "4"];
  const tight = await arena.mesh.proxy({ name: "tight", service: "tight", app, flags });
  await arena.mesh.healthy("tight");
  const resets = new Map<number, number>();
  let refused = 0;
  for (let round = 0; round < 3; round++) {
    const peer = await arena.connect({ settings: [[4, 0]], opensWindows: false }, tight);
    const ids = Array.from({ length: 90 }, () => newId());
    const big = request("/checks.Echo/Big", { ":authority": "tight" });
    for (const id of ids) {
      peer.stream(id);
      peer.send(headers(id, big), data(id, message("x"), true));
    }
    const isAnswered = (id: number) => peer.stream(id).isOver || peer.stream(id).fields.length > 0;
    await peer.until(() => ids.every(isAnswered), 10_000);
    await pause(300); // the last resets
    for (const id of ids) {
      const stream = peer.stream(id);
      if (stream.resetCode !== undefined) resets.set(stream.resetCode, (resets.get(stream.resetCode) ?? 0) + 1);
      if (stream.value("grpc-status") === "14") refused++;
    }
  }
  const metrics = await tight.metrics();
  const peak = metrics.get("ashlar_buffer_peak_bytes") ?? 0;
  const counted = metrics.get('ashlar_http2_refusals_total{reason="memory"}') ?? 0;
  arena.closeAll();
  await pause(500);
  const good = await arena.connect({}, tight);
  const after = outcome(good, await call(good, request("/checks.Echo/Unary", { ":authority": "tight" })));
  good.close();
  arena.mesh.release(tight);
  await tight.child.stop();
  const calm = resets.get(errorCode.enhanceYourCalm) ?? 0;
  const pass = calm > 0 && counted >= calm && resets.size === 1 && peak < 6 << 20 && after === "grpc-status 0";
  return verdict(
    pass,
    `270 callers that take nothing: ${calm} x RST_STREAM(ENHANCE_YOUR_CALM), ${refused} x grpc-status 14; at most ${(peak / (1 << 20)).toFixed(1)} MiB held of 4; next call ${after}`,
  );
}

/** The process stands still for three seconds with calls on the way. */
async function standstill(arena: Arena): Promise<Verdict> {
  const peer = await arena.connect();
  await call(peer);
  arena.attacked.child.signal("SIGSTOP");
  const seen = new Map<string, number>();
  const ids = Array.from({ length: 50 }, () => newId());
  for (const id of ids) {
    peer.stream(id);
    peer.send(headers(id, request("/checks.Echo/Unary")), data(id, message("x"), true));
  }
  await pause(3000);
  arena.attacked.child.signal("SIGCONT");
  let pushed = 0;
  for (const id of ids) {
    const stream = peer.stream(id);
    await finished(peer, stream);
    const what = outcome(peer, stream);
    seen.set(what, (seen.get(what) ?? 0) + 1);
    if (what === "grpc-status 14" && stream.value("grpc-retry-pushback-ms") !== undefined) pushed++;
  }
  await pause(500);
  const after = outcome(peer, await call(peer));
  const told = [...seen].map(([what, count]) => `${count} x ${what}`).join(", ");
  const refused = seen.get("grpc-status 14") ?? 0;
  const right = [...seen.keys()].every((what) => what === "grpc-status 14" || what === "grpc-status 0");
  return verdict(
    right && refused > 0 && pushed === refused && after === "grpc-status 0",
    `${told}, ${pushed} with pushback; next call ${after}`,
  );
}

/** What holds for a proxy and for a gateway alike. */
export const overloadsAnywhere: readonly Check[] = [
  { row: 40, name: "a message of 4 GiB", run: messageLimit },
  { row: 40, name: "retries: a fifth of the calls", run: retryBudget },
  { row: 40, name: "the process stands still for 3 s", disturbing: true, slowAtGateway: true, run: standstill },
];

export const overloads: readonly Check[] = [
  ...overloadsAnywhere,
  { row: 40, name: "callers that take nothing, 4 MiB of budget", counted: false, run: memoryBudget },
];

/** Rows 41, 42 and 44: the join and admin listeners of the control plane and the inbound one of a proxy, before anybody is known. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Arena, type Check, call, outcome, type Verdict, verdict } from "../check.js";
import {
  type AttackedPort,
  halfOpenAttack,
  type ListenerAttack,
  listenerAttacks,
  withstand,
} from "../listener-attacks.js";

const grewMiBMax = 200;

interface Listener {
  readonly row: number;
  readonly name: "join" | "admin";
  readonly method: string;
}

const listeners: readonly Listener[] = [
  { row: 41, name: "join", method: "/ashlar.v1.JoinService/Join" },
  { row: 42, name: "admin", method: "/ashlar.v1.AdminService/PublishRevision" },
];

/** At the admin listener the attacker has the key of one proxy: without a certificate the handshake ends. */
function portOf({ mesh, strangerCredentials }: Arena, { name, method }: Listener): AttackedPort {
  const ready = JSON.parse(readFileSync(join(mesh.data, "ready.json"), "utf8")) as Record<string, string>;
  const [host = "", port = ""] = (ready[name] ?? "").split(":");
  const own = name === "admin" ? { cert: strangerCredentials.chainPem, key: strangerCredentials.keyPem } : {};
  return { host, port: Number(port), method, ...own };
}

async function withstood(arena: Arena, listener: Listener, attack: ListenerAttack): Promise<Verdict> {
  const { mesh } = arena;
  const seen = await withstand(attack, portOf(arena, listener), {
    count: arena.quick ? 120 : 500,
    ms: arena.seconds(30, 4) * 1000,
    rssBytes: () => mesh.up.rssBytes,
    ask: () => mesh.mustRun("status"),
  });
  const told = `RSS +${seen.grewMiB.toFixed(0)} MiB, ${seen.failed} of ${seen.asked} of the operator's commands failed, ${seen.open} connections left open`;
  return verdict(seen.failed === 0 && seen.asked > 0 && seen.grewMiB < grewMiBMax, told);
}

/** A client that connects anew for each call is served while 3000 connections do not say who they are. */
async function inboundHalfOpen(arena: Arena): Promise<Verdict> {
  const { attacked } = arena;
  const { host, port } = attacked.inbound;
  const ask = async (): Promise<void> => {
    const peer = await arena.connect();
    const answer = outcome(peer, await call(peer));
    peer.close();
    if (answer !== "grpc-status 0") throw new Error(answer);
  };
  const seen = await withstand(
    halfOpenAttack,
    { host, port, method: "" },
    { count: 3000, ms: arena.seconds(30, 8) * 1000, rssBytes: () => attacked.child.rssBytes, ask },
  );
  const told = `RSS +${seen.grewMiB.toFixed(0)} MiB, ${seen.failed} of ${seen.asked} calls on new connections failed, ${seen.open} left open`;
  return verdict(seen.failed === 0 && seen.asked > 0 && seen.grewMiB < grewMiBMax, told);
}

const ofControlPlanes: readonly Check[] = listeners.flatMap((listener) =>
  listenerAttacks.map((attack) => ({
    row: listener.row,
    name: `${listener.name} listener: ${attack.name}`,
    counted: false,
    run: (arena: Arena) => withstood(arena, listener, attack),
  })),
);

export const listenerChecks: readonly Check[] = [
  ...ofControlPlanes,
  { row: 44, name: "inbound listener: 3000 half-open connections", counted: false, run: inboundHalfOpen },
];

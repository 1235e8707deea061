/** The fake mesh's audit log and journal. */
import { createHash } from "node:crypto";
import { AuditEntry } from "../../../proto/gen/ashlar/v1/audit.js";
import { digestOf } from "./fixture-mesh.js";

type Json = Readonly<Record<string, unknown>>;

const acts: readonly (readonly [actor: string, action: string, target: string, outcome: string, detail: string])[] = [
  ["ada", "publish", "revision 6", "ok", "the ledger journals its writes"],
  ["ada", "activate", "revision 6", "ok", "epoch 10, reviewed"],
  ["mallory", "activate", "revision 7", "denied", "operator mallory may look and change nothing"],
  ["grace", "approve", "revision 7", "ok", "eyJhbGciOiJFZERTQSJ9.CAcSIA.c2lnbmF0dXJl"],
  ["ada", "token", "service payments", "ok", "version v2, 1 use, 10 minutes"],
  ["first", "head", "audit log", "ok", "eyJhbGciOiJFZERTQSJ9.CAYSIA.c2lnbmF0dXJl"],
  ["ada", "activate", "revision 7", "ok", "rollout 2, stage 1: payments needs the claim, canary first"],
  ["eve", "publish", "<script>alert(1)</script>", "invalid_policy", "2 findings"],
];

function entries(nowMs: number) {
  return acts.map(([actor, action, target, outcome, detail], index) =>
    AuditEntry.create({
      sequence: index + 1,
      timeMs: nowMs - (acts.length - index) * 420_000,
      actor: `spiffe://shop.example/${actor === "first" ? "control-plane" : "operator"}/${actor}`,
      source: `10.0.0.${index + 4}:51822 via console`,
      action,
      target,
      outcome,
      detail,
    }),
  );
}

export const auditEntries = (nowMs: number): readonly object[] => entries(nowMs);

/** Returns the entries as they are stored, each with the digest of the one before, in base64. */
export function auditChain(nowMs: number): readonly string[] {
  let previous: Buffer = Buffer.alloc(0);
  return entries(nowMs).map((entry) => {
    const bytes = AuditEntry.encode({ ...entry, previous }).finish();
    previous = createHash("sha256").update(bytes).digest();
    return Buffer.from(bytes).toString("base64");
  });
}

export function journalEntries(nowMs: number): readonly Json[] {
  return Array.from({ length: 14 }, (_, index) => ({
    service: "ledger",
    sequence: 30 + index,
    timeMs: nowMs - (14 - index) * 9000,
    principal: "spiffe://shop.example/service/payments",
    user: index % 3 === 0 ? "accounts ada" : "",
    method: "shop.Ledger/Append",
    key: `charge-${digestOf(`key ${index}`).slice(0, 8)}`,
    order: `account-${index % 3}`,
    expected: index > 2 ? 27 + index : 0,
    revision: 7,
    epoch: 12,
    proxyId: digestOf("ledger").slice(0, 13),
    valid: index !== 5,
    settled: index !== 5 && index !== 11,
    code: index === 8 ? 9 : 0,
    settledBy: index === 5 || index === 11 ? 0 : 60 + index,
    requestBytes: 84 + index * 31,
  }));
}

/** Returns a message with its gRPC prefix, in base64. */
export function framed(text: string): string {
  const message = Buffer.from(text);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]).toString("base64");
}

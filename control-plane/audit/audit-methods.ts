/** The admin API's methods that list the audit log, and export it with everything needed to verify it. */
import { digestOf } from "../../core/digest.js";
import type { Signer } from "../../core/signature.js";
import type { AuditEntry } from "../../core/wire/audit.js";
import { signAuditHead } from "../../core/wire/audit-head.js";
import type { AdminServiceService } from "../../proto/gen/ashlar/v1/admin.js";
import type { AuditEntry as AuditEntryMessage } from "../../proto/gen/ashlar/v1/audit.js";
import type { Clock } from "../../runtime/clock.js";
import type { Implementation } from "../../runtime/grpc-handlers.js";
import { bounded } from "../admin/bounded.js";
import { type OperatedDeps, operatedBy } from "../admin/operated.js";
import type { Ledger } from "../store/ledger.js";
import type { AuditLog } from "./audit-log.js";
import type { AuditPage } from "./audit-pages.js";

export interface AuditDeps extends OperatedDeps {
  readonly rootPublicKey: Uint8Array;
  readonly ledger: Pick<Ledger, "trust">;
  readonly auditLog: Pick<AuditLog, "head" | "list">;
  readonly auditPage: (position: number) => Promise<AuditPage>;
  readonly signer: Signer;
  readonly clock: Clock;
}

type AuditMethods = Pick<Implementation<typeof AdminServiceService>, "exportAudit" | "listAudit">;

const entriesDefault = 1000;
const entriesMax = 10_000;

export function auditMethods(deps: AuditDeps): AuditMethods {
  const { mesh, ledger, auditLog, clock } = deps;
  const operated = operatedBy(deps);
  return {
    listAudit: operated(async ({ sinceMs, limit }) => {
      const { entries, chainHolds } = await auditLog.list({
        sinceMs,
        limit: bounded("limit", limit, entriesDefault, entriesMax),
      });
      return { entries: entries.map(renderAuditEntry), chainHolds };
    }),
    exportAudit: operated(async ({ position }) => {
      if (position === 0) await auditLog.list({ sinceMs: 0, limit: 1 }); // entries that wait for their place get it
      const page = await deps.auditPage(position);
      const head = auditLog.head();
      const last = page.entries.at(-1);
      // a head is signed only over what this control plane itself accepted into the chain; otherwise there is more to
      // come
      const complete = page.isLast && (last === undefined || digestOf(last) === head?.digest);
      const signed =
        complete && head !== undefined
          ? signAuditHead({ sequence: head.sequence, entry: head.digest, timeMs: clock.nowMs() }, mesh, deps.signer)
          : [];
      if (page.isLast && !complete) await auditLog.list({ sinceMs: 0, limit: 1 });
      return {
        entries: page.entries.map((bytes) => Buffer.from(bytes)),
        position: page.position,
        complete,
        head: Buffer.from(signed),
        mesh,
        rootPublicKey: Buffer.from(deps.rootPublicKey),
        trust: complete ? ledger.trust.list().map(({ bytes }) => Buffer.from(bytes)) : [],
      };
    }),
  };
}

function renderAuditEntry(entry: AuditEntry): AuditEntryMessage {
  return { ...entry, previous: Buffer.from(entry.previous ?? "", "hex"), id: Buffer.from(entry.id, "hex") };
}

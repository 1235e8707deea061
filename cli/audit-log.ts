/** The whole audit log: read from the control plane page by page, written to a file, or verified from either. */
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import {
  AuditFileVerifier,
  auditKeys,
  auditLineBytesMax,
  renderAuditHead,
  renderAuditLine,
  renderAuditTrust,
} from "../core/audit/audit-file.js";
import { type AuditVerdict, AuditVerifier } from "../core/audit/audit-verifier.js";
import type { Digest } from "../core/digest.js";
import { AshlarError } from "../core/errors.js";
import { writeDurably } from "../runtime/durable-file.js";
import { fileReason } from "../runtime/file-reason.js";
import type { AdminClient, ExportAuditResponse } from "./client.js";

const pagesMax = 20_000; // a stream of 256 MiB has fewer
const idlePagesMax = 50;

/** Yields the pages of the log; the last one is complete. Fails with `limit` if there are too many. */
async function* readPages(admin: Pick<AdminClient, "exportAudit">): AsyncGenerator<ExportAuditResponse> {
  let [position, idle] = [0, 0];
  for (let pages = 0; pages < pagesMax && idle < idlePagesMax; pages += 1) {
    const page = await admin.exportAudit({ position });
    yield page;
    if (page.complete) return;
    idle = page.position === position ? idle + 1 : 0;
    position = page.position;
  }
  throw new AshlarError("limit", "the audit log does not end: entries in the stream are not those that were written");
}

/** Verifies the live log from its first entry on. */
export async function verifyLive(
  admin: Pick<AdminClient, "exportAudit">,
  rootHash: Digest | undefined,
): Promise<AuditVerdict> {
  const entries: Uint8Array[] = [];
  for await (const page of readPages(admin)) {
    entries.push(...page.entries);
    if (!page.complete) continue;
    const verifier = new AuditVerifier(page.mesh, auditKeys(page, rootHash));
    for (const entry of entries) verifier.add(entry);
    return verifier.finish(page.head.length === 0 ? undefined : page.head);
  }
  throw new AshlarError("internal", "the audit log ended without an end");
}

/** Writes the whole log to `path`, which is replaced only when it is complete. Returns the number of entries. */
export async function exportAudit(admin: Pick<AdminClient, "exportAudit">, path: string): Promise<number> {
  const lines: string[] = [];
  let last: ExportAuditResponse | undefined;
  for await (const page of readPages(admin)) {
    lines.push(...page.entries.map(renderAuditLine));
    last = page;
  }
  if (last === undefined) throw new AshlarError("internal", "the audit log ended without an end");
  const end = last.head.length === 0 ? [] : [renderAuditHead(last.head)];
  try {
    writeDurably(path, renderParts([renderAuditTrust(last), ...lines, ...end]));
  } catch (error) {
    const cause = error instanceof AshlarError ? error.cause : error;
    throw new AshlarError("invalid_argument", `cannot write ${path}: ${fileReason(cause)}`, { cause });
  }
  return lines.length;
}

/** Returns the lines in parts of a thousand, because the whole log may exceed the longest possible string. */
function renderParts(lines: readonly string[]): readonly string[] {
  const parts: string[] = [];
  for (let at = 0; at < lines.length; at += 1000) parts.push(`${lines.slice(at, at + 1000).join("\n")}\n`);
  return parts;
}

/** Verifies an export; asks nobody. */
export async function verifyFile(path: string, rootHash: Digest | undefined): Promise<AuditVerdict> {
  const verifier = new AuditFileVerifier(rootHash);
  const input = createReadStream(path, { encoding: "utf8" });
  try {
    for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
      if (line.length > auditLineBytesMax) throw new AshlarError("invalid_argument", "a line is too long");
      verifier.add(line);
    }
  } catch (cause) {
    if (!(cause instanceof AshlarError))
      throw new AshlarError("invalid_argument", `cannot read ${path}: ${fileReason(cause)}`, { cause });
    throw new AshlarError(cause.code, `${path}: ${cause.message}`, { cause });
  } finally {
    input.destroy();
  }
  if (verifier.isEmpty) throw new AshlarError("invalid_record", `${path}: the file is empty`);
  return verifier.finish();
}

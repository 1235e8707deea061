/** Which proxy holds which certificate, by serial number: for revocation and for people. */
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { isLabel } from "../../core/identity.js";
import type { Clock } from "../../runtime/clock.js";
import { makePrivateFolder, readIfThere, writeDurably } from "../../runtime/durable-file.js";

export interface IssuedEntry {
  readonly serial: string;
  readonly proxyId: string;
  readonly service: string;
  readonly notAfterMs: number;
}

export interface IssuedCertificates {
  /** Notes a certificate; those that expired a week ago are forgotten. */
  add(entry: IssuedEntry): void;
  find(serial: string): IssuedEntry | undefined;
  /** Serials of a proxy that have not expired. */
  serialsOf(proxyId: string): readonly string[];
}

const keepMs = 7 * 86_400_000;
const countMax = 200_000;

/**
 * Opens DIR/identity/issued.jsonl. An entry that a crash cut off is skipped: the certificate itself
 * carries its proxy's id, signed by the mesh.
 */
export function openIssuedCertificates({
  dir,
  clock,
}: {
  readonly dir: string;
  readonly clock: Clock;
}): IssuedCertificates {
  const folder = join(dir, "identity");
  makePrivateFolder(folder);
  const path = join(folder, "issued.jsonl");
  let entries = new Map<string, IssuedEntry>();
  let lines = 0;

  const compact = (): void => {
    const live = [...entries.values()].filter((entry) => entry.notAfterMs > clock.nowMs() - keepMs).slice(-countMax);
    entries = new Map(live.map((entry) => [entry.serial, entry]));
    writeDurably(path, live.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
    lines = live.length;
  };

  for (const line of (readIfThere(path)?.toString("utf8") ?? "").split("\n")) {
    const entry = parseEntry(line);
    if (entry !== undefined) entries.set(entry.serial, entry);
  }
  compact();
  return {
    add: (entry) => {
      entries.set(entry.serial, entry);
      appendFileSync(path, `${JSON.stringify(entry)}\n`, { mode: 0o600 });
      lines += 1;
      if (lines > 2 * countMax || (lines > 10_000 && lines % 10_000 === 0)) compact();
    },
    find: (serial) => entries.get(serial),
    serialsOf: (proxyId) =>
      [...entries.values()]
        .filter((entry) => entry.proxyId === proxyId && entry.notAfterMs > clock.nowMs())
        .map((entry) => entry.serial),
  };
}

function parseEntry(line: string): IssuedEntry | undefined {
  try {
    const { serial, proxyId, service, notAfterMs } = JSON.parse(line) as Partial<IssuedEntry>;
    if (typeof serial !== "string" || typeof proxyId !== "string" || typeof notAfterMs !== "number") return undefined;
    return typeof service === "string" && isLabel(service) ? { serial, proxyId, service, notAfterMs } : undefined;
  } catch {
    return undefined;
  }
}

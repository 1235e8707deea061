/** Records which proxy holds which certificate, by serial number, for revocation and for `ashlar` commands. */
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { isAshlarError } from "../../core/errors.js";
import { isWorkload } from "../../core/identity.js";
import type { Clock } from "../../runtime/clock.js";
import { diskError } from "../../runtime/disk-fault.js";
import { makePrivateFolder, readIfThere, writeDurably } from "../../runtime/durable-file.js";

export interface IssuedEntry {
  readonly serial: string;
  readonly proxyId: string;
  readonly service: string;
  readonly notAfterMs: number;
  /** The public nkey of the NATS user that was issued with it; undefined in entries of earlier versions. */
  readonly natsUser?: string;
}

export interface IssuedCertificates {
  /**
   * Records a certificate; it is on disk when this returns. Certificates that expired a week ago are forgotten. Fails
   * with `unavailable`.
   */
  add(entry: IssuedEntry): void;
  find(serial: string): IssuedEntry | undefined;
  /** Returns the serial numbers of a proxy's certificates that have not expired. */
  serialsOf(proxyId: string): readonly string[];
  /** Returns the NATS users of a proxy that have not expired. */
  usersOf(proxyId: string): readonly string[];
}

const keepMs = 7 * 86_400_000;
const countMax = 200_000;

/**
 * Opens DIR/identity/issued.jsonl. An entry that a crash cut off is skipped: the certificate itself names its proxy,
 * signed by the mesh.
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

  const text = readIfThere(path)?.toString("utf8") ?? "";
  /**
   * True if the file ends in the middle of a line (a crash, a full disk), which must be ended before the next line is
   * written.
   */
  let torn = !text.endsWith("\n") && text !== "";
  const append = (entry: IssuedEntry): void => {
    const begin = torn ? "\n" : "";
    torn = true;
    try {
      appendFileSync(path, `${begin}${JSON.stringify(entry)}\n`, { mode: 0o600, flush: true });
    } catch (cause) {
      throw diskError("write", path, cause);
    }
    torn = false;
  };
  /** Shortens the file. If the shorter file cannot be written, the longer one stays in use. */
  const tryCompact = (): void => {
    try {
      compact();
      torn = false;
    } catch (error) {
      if (!isAshlarError(error, "unavailable")) throw error;
    }
  };

  for (const line of text.split("\n")) {
    const entry = parseEntry(line);
    if (entry !== undefined) entries.set(entry.serial, entry);
  }
  tryCompact();
  const goodOf = (proxyId: string): readonly IssuedEntry[] =>
    [...entries.values()].filter((entry) => entry.proxyId === proxyId && entry.notAfterMs > clock.nowMs());
  return {
    add: (entry) => {
      append(entry);
      entries.set(entry.serial, entry);
      lines += 1;
      if (lines > 2 * countMax || (lines > 10_000 && lines % 10_000 === 0)) tryCompact();
    },
    find: (serial) => entries.get(serial),
    serialsOf: (proxyId) => goodOf(proxyId).map(({ serial }) => serial),
    usersOf: (proxyId) => [...new Set(goodOf(proxyId).flatMap(({ natsUser }) => natsUser ?? []))],
  };
}

function parseEntry(line: string): IssuedEntry | undefined {
  try {
    const { serial, proxyId, service, notAfterMs, natsUser } = JSON.parse(line) as Partial<IssuedEntry>;
    if (typeof serial !== "string" || typeof proxyId !== "string" || typeof notAfterMs !== "number") return undefined;
    if (typeof service !== "string" || !isWorkload(service)) return undefined;
    return { serial, proxyId, service, notAfterMs, ...(typeof natsUser === "string" && { natsUser }) };
  } catch {
    return undefined;
  }
}

/** What journals hold that counts only as long as one signing key is trusted: times of imported messages, and operators' words. */
import { AshlarError, isAshlarError } from "../../core/errors.js";
import type { Signed, Trust } from "../../core/model.js";
import type { KeySet } from "../../core/signature.js";
import { importedHeader, importedMs } from "../../core/wire/journal/imported.js";
import { verifyResolution } from "../../core/wire/journal/resolution.js";
import { keySetOf } from "../../core/wire/records.js";
import { journalPrefix, journalStream, journalSubject } from "../../core/wire/subjects.js";
import type { Bus } from "../../runtime/bus.js";
import { findJournals } from "./find-journals.js";
import { readJournal, sealedOf } from "./journal-sealer.js";

export interface VouchedFor {
  readonly service: string;
  /** Imported messages, and the sequence of the last of them. */
  readonly imported: number;
  readonly lastImported: number;
  readonly resolutions: number;
  /** The sequence after which more imported messages are, which were not read; 0: all were. */
  readonly unreadAfter: number;
}

export interface VouchedForDeps {
  readonly bus: Pick<Bus, "streamNames" | "streamInfo" | "directGet" | "leaderGet">;
  readonly mesh: string;
  readonly trust: Pick<Signed<Trust>, "body">;
  /** The most messages that are read of each journal (default 100,000). */
  readonly readMax?: number;
}

/** Returns the journals that have something of this key, or may have: not all of a long import is read. Fails with `unavailable`. */
export async function vouchedFor(
  { bus, mesh, trust, readMax = 100_000 }: VouchedForDeps,
  kid: string,
  signal: AbortSignal,
): Promise<readonly VouchedFor[]> {
  const key = keySetOf(trust.body).get(kid);
  if (key === undefined) return [];
  const keys: KeySet = new Map([[kid, key]]);
  const all: VouchedFor[] = [];
  for (const { service, info } of await findJournals(bus)) {
    let [imported, lastImported, unreadAfter] = [0, 0, 0];
    const { firstSequence, lastSequence } = info;
    const through = Math.min(lastSequence, firstSequence + readMax - 1);
    // what is imported comes before everything else
    for await (const message of readJournal(bus, service, firstSequence, through, signal)) {
      const header = message.header(importedHeader);
      if (header === undefined) break;
      if (message.sequence === through && (await isImported(bus, service, through + 1, lastSequence)))
        unreadAfter = through;
      if (!holds(() => importedMs(header, service, sealedOf(message), { mesh, keys }))) continue;
      [imported, lastImported] = [imported + 1, message.sequence];
    }
    const resolutions = await resolutionsOf(bus, service, (data) => holds(() => verifyResolution(data, mesh, keys)));
    if (signal.aborted) throw new AshlarError("unavailable", "the call was cancelled before all journals were read");
    if (imported + resolutions + unreadAfter > 0)
      all.push({ service, imported, lastImported, resolutions, unreadAfter });
  }
  return all;
}

async function isImported(
  bus: Pick<Bus, "leaderGet">,
  service: string,
  from: number,
  lastSequence: number,
): Promise<boolean> {
  if (from > lastSequence) return false;
  const message = await bus.leaderGet(journalStream(service), { nextOf: `${journalPrefix(service)}.>`, from });
  return message?.header(importedHeader) !== undefined;
}

async function resolutionsOf(
  bus: Pick<Bus, "leaderGet">,
  service: string,
  isSigned: (data: Uint8Array) => boolean,
): Promise<number> {
  const nextOf = journalSubject(service, "resolution", "*");
  let count = 0;
  for (let from = 1; ; ) {
    const message = await bus.leaderGet(journalStream(service), { nextOf, from });
    if (message === undefined) return count;
    if (isSigned(message.data)) count += 1;
    from = message.sequence + 1;
  }
}

/** Whether what verifies a signature does not fail. */
function holds(verify: () => unknown): boolean {
  try {
    verify();
    return true;
  } catch (error) {
    if (isAshlarError(error) && error.code !== "internal") return false;
    throw error;
  }
}

/** What dropping the key would undo, for people. */
export function renderVouchedFor(each: VouchedFor): string {
  const { service, imported, lastImported, resolutions, unreadAfter } = each;
  const parts: string[] = [];
  if (imported > 0) parts.push(`${imported} imported messages up to sequence ${lastImported}`);
  if (unreadAfter > 0) parts.push(`perhaps imported messages after sequence ${unreadAfter}, which were not read`);
  if (resolutions > 0) parts.push(`${resolutions} ${resolutions === 1 ? "write" : "writes"} that operators resolved`);
  return `the journal of ${service}: ${parts.join(", ")}`;
}

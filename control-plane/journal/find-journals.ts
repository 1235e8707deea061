/** Finds the journals that exist, whatever policy says now: what was written stays. */
import { journalKeysStream, journalStream } from "../../core/wire/subjects.js";
import type { Bus, StreamInfo } from "../../runtime/bus.js";
import type { JournalUse } from "./journal-room.js";

export interface FoundJournal {
  readonly service: string;
  readonly info: StreamInfo;
}

const prefix = journalStream("");

/** Finds the journals that have a stream, sorted by service. Fails with `unavailable`. */
export async function findJournals(bus: Pick<Bus, "streamNames" | "streamInfo">): Promise<readonly FoundJournal[]> {
  const names = (await bus.streamNames()).filter((name) => name.startsWith(prefix)).sort();
  const found: FoundJournal[] = [];
  for (const name of names) {
    const info = await bus.streamInfo(name);
    if (info !== undefined) found.push({ service: name.slice(prefix.length), info });
  }
  return found;
}

/** Returns what the streams of data keys hold and may hold; journals share the rest. Fails with `unavailable`. */
export async function keyStreamUses(bus: Pick<Bus, "streamNames" | "streamInfo">): Promise<readonly JournalUse[]> {
  const keysPrefix = journalKeysStream("");
  const uses: JournalUse[] = [];
  for (const name of (await bus.streamNames()).filter((each) => each.startsWith(keysPrefix)).sort()) {
    const info = await bus.streamInfo(name);
    if (info !== undefined) uses.push(useOf({ service: name.slice(keysPrefix.length), info }));
  }
  return uses;
}

export function useOf({ service, info }: FoundJournal): JournalUse {
  return { service, storedBytes: info.bytes, boundBytes: info.spec.maxBytes ?? 0 };
}

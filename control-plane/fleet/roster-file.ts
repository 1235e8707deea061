/** The roster on disk, so that a restarted control plane knows which proxies to wait for. */
import { join } from "node:path";
import { messageOf } from "../../core/errors.js";
import { encodeHeartbeat, parseHeartbeat } from "../../core/wire/fleet.js";
import type { Clock } from "../../runtime/clock.js";
import { readIfThere, writeDurably } from "../../runtime/durable-file.js";
import type { Logger } from "../../runtime/log.js";
import type { SavedRoster } from "./fleet-state.js";

const fileName = "roster.json";
const saveEveryMs = 5000;

interface SavedLine {
  readonly service: string;
  readonly proxyId: string;
  readonly heartbeat: string;
  readonly lastSeenMs: number;
  readonly live: boolean;
  readonly serial?: string | undefined;
}

/** Returns the roster of the last run. Parts that cannot be read are left out, because heartbeats bring them back. */
export function readRoster(dir: string, log: Logger): SavedRoster {
  try {
    const text = readIfThere(join(dir, fileName));
    if (text === undefined) return [];
    const lines = JSON.parse(text.toString("utf8")) as readonly SavedLine[];
    return lines.map(({ service, proxyId, heartbeat, lastSeenMs, live, serial }) => ({
      heartbeat: parseHeartbeat(new Uint8Array(Buffer.from(heartbeat, "base64")), { service, proxyId }),
      lastSeenMs,
      live,
      serial,
    }));
  } catch (error) {
    log.warn("cannot read the roster of the last run", { why: messageOf(error) });
    return [];
  }
}

export function saveRoster(dir: string, roster: SavedRoster): void {
  const lines: SavedLine[] = roster.map(({ heartbeat, lastSeenMs, live, serial }) => ({
    service: heartbeat.service,
    proxyId: heartbeat.proxyId,
    heartbeat: Buffer.from(encodeHeartbeat(heartbeat)).toString("base64"),
    lastSeenMs,
    live,
    serial,
  }));
  writeDurably(join(dir, fileName), JSON.stringify(lines));
}

/** Saves the roster every few seconds while it is not empty, and at the end. */
export async function runRosterSaver(
  deps: { readonly dir: string; readonly roster: () => SavedRoster; readonly clock: Clock; readonly log: Logger },
  signal: AbortSignal,
): Promise<void> {
  const { dir, clock, log } = deps;
  let wasEmpty = true;
  for (;;) {
    await clock.sleep(saveEveryMs, signal);
    const roster = deps.roster();
    try {
      if (roster.length > 0 || !wasEmpty) saveRoster(dir, roster);
      wasEmpty = roster.length === 0;
    } catch (error) {
      log.warn("the roster was not saved", { why: messageOf(error) });
    }
    if (signal.aborted) return;
  }
}

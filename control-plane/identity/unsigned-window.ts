/**
 * Decides until when unsigned statements of older proxies are accepted (decision 0026): in a mesh that an older version
 * began, for a time after the first start of this version; in a new mesh never.
 */
import { join } from "node:path";
import { messageOf } from "../../core/errors.js";
import type { Clock } from "../../runtime/clock.js";
import { readJsonIfThere, writeDurably } from "../../runtime/durable-file.js";
import type { Logger } from "../../runtime/log.js";
import type { FleetEntry } from "../fleet/fleet-state.js";

export interface UnsignedWindowDeps {
  /** The data folder. */
  readonly folder: { readonly path: string };
  readonly config: { readonly unsignedForMs: number };
  /** True if this start created the data folder. */
  readonly isNew: boolean;
  readonly clock: Pick<Clock, "nowMs">;
  readonly log: Logger;
}

export interface UnsignedWindow {
  /** Returns until when unsigned statements are accepted, in Unix milliseconds; 0: never. */
  readonly unsignedUntilMs: () => number;
  /** Returns one line while unsigned statements are believed, or while proxies that do not sign are live. */
  problems(live: readonly FleetEntry[]): readonly string[];
}

const fileName = "unsigned-since.json";
const namedMax = 5;

/**
 * Opens DIR/identity/unsigned-since.json, which stores when this version was first started here; 0: the mesh began with
 * it.
 */
export function openUnsignedWindow({ folder, config, isNew, clock, log }: UnsignedWindowDeps): UnsignedWindow {
  const path = join(folder.path, "identity", fileName);
  const stored = readSince(path, log);
  const sinceMs = stored ?? (isNew ? 0 : clock.nowMs());
  if (stored === undefined) writeDurably(path, `${JSON.stringify({ sinceMs })}\n`);
  const untilMs = sinceMs === 0 ? 0 : sinceMs + config.unsignedForMs;
  return {
    unsignedUntilMs: () => untilMs,
    problems(live) {
      if (clock.nowMs() >= untilMs) return [];
      const older = live.filter(({ serial }) => serial === undefined).map(({ heartbeat }) => heartbeat.proxyId);
      if (older.length === 0) return [];
      const named = older.slice(0, namedMax).join(", ");
      const more = older.length > namedMax ? ` and ${older.length - namedMax} more` : "";
      const until = new Date(untilMs).toISOString();
      return [
        `proxies of an older version do not sign what they say and are believed until ${until}: update ${named}${more}`,
      ];
    },
  };
}

function readSince(path: string, log: Logger): number | undefined {
  try {
    const value = readJsonIfThere(path)?.sinceMs;
    return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  } catch (error) {
    log.warn(`${path} is not readable: it is made anew`, { why: messageOf(error) });
    return 0;
  }
}

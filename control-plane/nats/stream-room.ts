/** Gives the bounded streams of a private NATS what its disk has room for. */
import { statfs } from "node:fs/promises";
import { AshlarError } from "../../core/errors.js";
import type { Bus } from "../../runtime/bus.js";
import { diskError } from "../../runtime/disk-fault.js";
import { findJournals, keyStreamUses, useOf } from "../journal/find-journals.js";
import { promisedBytes } from "../journal/journal-room.js";
import { boundedStreams, boundsDefault, fitStreams, type StreamBounds } from "../store/streams.js";
import { fitBounds, isOff, neededBytes, renderBytes } from "./disk-room.js";

/** Returns the bytes that this process may still write to the disk of `dir`. Fails with `unavailable`. */
export async function freeBytesOf(dir: string): Promise<number> {
  const { blocks, bavail, bsize } = await statfs(dir).catch((cause: unknown) => {
    throw diskError("look at the disk of", dir, cause);
  });
  return blocks === 0 ? Number.POSITIVE_INFINITY : bavail * bsize; // some file systems do not report it
}

/**
 * Fails with `limit` if the disk of `dir` has no room to begin or to continue; the message says how much is needed and
 * where.
 */
export async function requireRoom(dir: string, isNew: boolean): Promise<void> {
  const [free, needed] = [await freeBytesOf(dir), neededBytes(isNew)];
  if (free >= needed) return;
  const why = isNew ? "a new mesh needs" : "the mesh that is there needs";
  throw new AshlarError(
    "limit",
    `${dir}: ${why} ${renderBytes(needed)} free on this disk, which has ${renderBytes(free)}: make room there, or use another --data`,
  );
}

/**
 * Returns the bounds that fit the disk of `dir` now, given what the streams hold; streams that do not exist yet hold
 * nothing.
 */
export async function findBounds(
  bus: Pick<Bus, "streamInfo" | "streamNames">,
  dir: string,
  decisionBytes: number | undefined,
): Promise<{ readonly now: StreamBounds; readonly fitting: StreamBounds }> {
  const look = async (name: keyof StreamBounds) => {
    const info = await bus.streamInfo(boundedStreams[name]);
    return { stored: info?.bytes ?? 0, bound: info?.spec.maxBytes ?? 0 };
  };
  const [decisions, endpoints, audit] = [await look("decisions"), await look("endpoints"), await look("audit")];
  const promised = promisedBytes([...(await findJournals(bus)).map(useOf), ...(await keyStreamUses(bus))]);
  const freeBytes = Math.max(0, (await freeBytesOf(dir)) - promised);
  const wanted = {
    decisions: decisionBytes ?? Math.max(boundsDefault.decisions, decisions.bound),
    endpoints: Math.max(boundsDefault.endpoints, endpoints.bound),
    audit: Math.max(boundsDefault.audit, audit.bound),
  };
  const stored = { decisions: decisions.stored, endpoints: endpoints.stored, audit: audit.stored };
  return {
    now: { decisions: decisions.bound, endpoints: endpoints.bound, audit: audit.bound },
    fitting: fitBounds({ freeBytes, stored, wanted }),
  };
}

/**
 * Changes bounds that are far from what fits. Needs the bootstrap credential. Returns the present bounds if any was
 * changed.
 */
export async function fitToDisk(
  bus: Bus,
  dir: string,
  decisionBytes: number | undefined,
): Promise<StreamBounds | undefined> {
  const { now, fitting } = await findBounds(bus, dir, decisionBytes);
  if (!isOff(now, fitting)) return undefined;
  await fitStreams(bus, fitting);
  return fitting;
}

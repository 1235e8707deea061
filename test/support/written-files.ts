/** Runs a writer of files on a disk that fails at any byte, and checks what the next start finds. */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type DiskFault, diskFaults, type FaultyDisk } from "./faulty-disk.js";
import { stride } from "./runs.js";

/** A writer that is open on a folder. */
export interface OpenWriter {
  /** Writes item `n`. Resolves when it is acknowledged. */
  write(n: number): Promise<void> | void;
  close?(): Promise<void> | void;
}

export interface WriterCase {
  readonly name: string;
  /** How many items are written, one after the other. */
  readonly items: number;
  /** Tests only every `stride`th byte, because each item has many. 1 unless given. */
  readonly stride?: number;
  open(dir: string): Promise<OpenWriter> | OpenWriter;
  /** Returns the items that exist; for a file that is replaced, the one that it contains. */
  read(dir: string): Promise<readonly number[]> | readonly number[];
  /**
   * "all": every acknowledged item stays. "last": a later item replaces it, but a failed one does not. "newest": as
   * "last", if each item is finished before the next begins, so that a failed one may leave nothing.
   */
  readonly keeps: "all" | "last" | "newest";
}

interface Run {
  readonly acknowledged: readonly number[];
  readonly attempted: readonly number[];
}

/**
 * Tries every fault after every byte (in `npm run check` after every fifth). Throws if something was lost. Returns the
 * number of tries.
 */
export async function checkWriter(disk: FaultyDisk, dir: string, writer: WriterCase): Promise<number> {
  const total = await measure(disk, join(dir, "whole"), writer);
  const step = stride(writer.stride ?? 1);
  let tried = 0;
  for (const fault of diskFaults) {
    for (let after = 0; after <= total; after += step) {
      const folder = join(dir, `${fault}-${after}`);
      mkdirSync(folder, { recursive: true });
      const run = await writeAll(disk, folder, writer, after, fault);
      const found = await writer.read(folder);
      const why = judge(writer, run, found);
      if (why !== undefined)
        throw new Error(
          `${writer.name}: ${fault} after ${after}: ${why}; acknowledged ${run.acknowledged}, attempted ${run.attempted}, found ${found}`,
        );
      rmSync(folder, { recursive: true, force: true });
      tried += 1;
    }
  }
  return tried;
}

async function measure(disk: FaultyDisk, folder: string, writer: WriterCase): Promise<number> {
  mkdirSync(folder, { recursive: true });
  const open = await writer.open(folder);
  disk.heal();
  for (let n = 1; n <= writer.items; n += 1) await open.write(n);
  const { spent } = disk;
  await open.close?.();
  const found = await writer.read(folder);
  const why = judge(writer, { acknowledged: range(writer.items), attempted: range(writer.items) }, found);
  if (why !== undefined) throw new Error(`${writer.name}: without a fault: ${why}; found ${found}`);
  return spent;
}

/**
 * Writes all items. A full or broken disk is repaired after the first failure, and the same writer goes on; after a
 * kill it is opened again.
 */
async function writeAll(
  disk: FaultyDisk,
  folder: string,
  writer: WriterCase,
  after: number,
  fault: DiskFault,
): Promise<Run> {
  let open = await writer.open(folder);
  const [acknowledged, attempted]: [number[], number[]] = [[], []];
  disk.failAfter(after, fault);
  for (let n = 1; n <= writer.items; n += 1) {
    attempted.push(n);
    try {
      await open.write(n);
      acknowledged.push(n);
    } catch {
      if (fault === "kill") await closeDead(open);
      disk.heal();
      if (fault === "kill") open = await writer.open(folder);
    }
  }
  disk.heal();
  await open.close?.();
  return { acknowledged, attempted };
}

/** Closes the descriptor of a "dead" writer, which writes nothing. */
async function closeDead(open: OpenWriter): Promise<void> {
  try {
    await open.close?.();
  } catch {}
}

function judge({ keeps }: WriterCase, { acknowledged, attempted }: Run, found: readonly number[]): string | undefined {
  const strange = found.filter((n) => !attempted.includes(n));
  if (strange.length > 0) return `${strange} was never written`;
  if (keeps !== "all") {
    const least = acknowledged.at(-1) ?? 0;
    const [held] = found;
    if (keeps === "newest" && held === undefined && least !== attempted.at(-1)) return undefined;
    if (held === undefined) return least === 0 ? undefined : `${least} is lost`;
    return held >= least ? undefined : `${least} is lost, ${held} is there`;
  }
  const lost = acknowledged.filter((n) => !found.includes(n));
  if (lost.length > 0) return `${lost} is lost`;
  return found.every((n, i) => i === 0 || n >= (found[i - 1] ?? 0)) ? undefined : "the order changed";
}

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);

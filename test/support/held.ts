/** Finds out what is still held in memory. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** How many bytes of the heap are held after garbage collection. */
export function heldBytes(): number {
  collector()();
  return process.memoryUsage().heapUsed;
}

/** Counts which of `references` garbage collection leaves. */
export async function countHeld(references: readonly WeakRef<object>[]): Promise<number> {
  const collect = collector();
  for (let turn = 0; turn < 3; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve)); // a reference that was read keeps its object until the turn ends
    collect();
  }
  return references.filter((reference) => reference.deref() !== undefined).length;
}

function collector(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}

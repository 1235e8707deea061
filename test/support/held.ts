/** Finds out what is still held in memory. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Returns the size of the heap in bytes after garbage collection. */
export function heldBytes(): number {
  collector()();
  return process.memoryUsage().heapUsed;
}

/** Returns how many of `references` survive garbage collection. */
export async function countHeld(references: readonly WeakRef<object>[]): Promise<number> {
  const collect = collector();
  for (let turn = 0; turn < 3; turn += 1) {
    // a reference that was read keeps its object alive until the turn ends
    await new Promise((resolve) => setImmediate(resolve));
    collect();
  }
  return references.filter((reference) => reference.deref() !== undefined).length;
}

function collector(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}

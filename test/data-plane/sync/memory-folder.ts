import { AshlarError } from "../../../core/errors.js";
import type { StateFolder } from "../../../data-plane/sync/state-folder.js";

/** A folder in memory that can be full. */
export class MemoryFolder implements StateFolder {
  readonly files = new Map<string, Uint8Array>();
  isFull = false;

  async read(name: string): Promise<Uint8Array | undefined> {
    return this.files.get(name)?.slice();
  }

  async write(name: string, bytes: Uint8Array): Promise<void> {
    if (this.isFull) throw new AshlarError("unavailable", `cannot write ${name}: no space left on device`);
    this.files.set(name, bytes.slice());
  }

  async list(): Promise<readonly string[]> {
    return [...this.files.keys()];
  }

  async remove(name: string): Promise<void> {
    this.files.delete(name);
  }

  copy(): MemoryFolder {
    const copy = new MemoryFolder();
    for (const [name, bytes] of this.files) copy.files.set(name, bytes.slice());
    return copy;
  }
}

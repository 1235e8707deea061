import { AshlarError } from "../../../core/errors.js";
import type { SlotFile } from "../../../data-plane/sync/slot-file.js";
import { encodeSlot, newestSlot, slotFileBytes, slotOffset } from "../../../data-plane/sync/slots.js";
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

  async openSlots(name: string): Promise<SlotFile> {
    const { files } = this;
    const bytes = (): Uint8Array => files.get(name) ?? new Uint8Array(slotFileBytes);
    return {
      get newest() {
        return newestSlot(bytes())?.content;
      },
      write: async (content) => {
        if (this.isFull) throw new AshlarError("unavailable", `cannot write ${name}: no space left on device`);
        const serial = (newestSlot(bytes())?.serial ?? 0) + 1;
        const next = bytes().slice();
        next.set(encodeSlot({ serial, content }), slotOffset(serial));
        files.set(name, next);
      },
      close: async () => {},
    };
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

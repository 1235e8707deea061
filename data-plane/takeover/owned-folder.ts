import type { SlotFile } from "../sync/slot-file.js";
import type { StateFolder } from "../sync/state-folder.js";
import type { Tenure } from "./tenure.js";

/**
 * Returns a folder that is written only while this process may. Writes wait while a successor starts. Once another
 * process owns the folder, writes are dropped: that process follows the same logs and writes their floors itself.
 */
export function ownedFolder(folder: StateFolder, tenure: Tenure): StateFolder {
  return {
    read: (name) => folder.read(name),
    write: (name, bytes, urgent) => tenure.run(() => folder.write(name, bytes, urgent), undefined),
    openSlots: async (name) => ownedSlots(await folder.openSlots(name), tenure),
    list: () => folder.list(),
    remove: (name) => tenure.run(() => folder.remove(name), undefined),
  };
}

function ownedSlots(slots: SlotFile, tenure: Tenure): SlotFile {
  return {
    get newest() {
      return slots.newest;
    },
    write: (content) => tenure.run(() => slots.write(content), undefined),
    close: () => slots.close(),
  };
}

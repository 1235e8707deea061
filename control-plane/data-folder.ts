/**
 * The folder of one control plane: which mesh it belongs to, which process uses it now, and the files that tell others
 * where it serves.
 */
import { chmodSync, existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { AshlarError, isAshlarError } from "../core/errors.js";
import { diskError, isDiskFull } from "../runtime/disk-fault.js";
import { writeDurably } from "../runtime/durable-file.js";
import { makeFolder, releaseFolder, takeFolder } from "../runtime/folder-lock.js";
import { requireRoom } from "./nats/stream-room.js";

/** The files that tell others where the control plane serves. They are written when it is ready. */
export const readyFiles = ["ready.json", "admin.json", "join.json"] as const;

export interface SavedPorts {
  readonly admin: number;
  readonly join: number;
  readonly console?: number | undefined;
}

/**
 * Throws an error that says how much room is needed. If the disk could not be examined, the first failure says more.
 */
function preferLimit(error: unknown): void {
  if (isAshlarError(error, "limit")) throw error;
}

export class DataFolder {
  readonly path: string;
  readonly #removeEmpty: () => void;

  private constructor(path: string, removeEmpty: () => void) {
    this.path = path;
    this.#removeEmpty = removeEmpty;
  }

  /**
   * Creates the folder (mode 0700) if needed, and locks it; the lock of a process that has ended is taken over. Fails
   * with `exists` if a control plane runs on it, with `unavailable` if it cannot be written, and with `limit` and the
   * bytes that are needed if its disk is full.
   */
  static async open(path: string): Promise<DataFolder> {
    try {
      const removeEmpty = makeFolder(path);
      chmodSync(path, 0o700);
      await takeFolder(path, "a control plane");
      return new DataFolder(path, removeEmpty);
    } catch (error) {
      if (isDiskFull(error)) await requireRoom(path, !existsSync(join(path, "mesh.json"))).catch(preferLimit);
      throw diskError("use", `the data folder ${path}`, error);
    }
  }

  /**
   * Returns the mesh that the folder belongs to; a new folder belongs to `asked` (or to `otherwise`) from now on. Fails
   * with `conflict` if it belongs to another mesh.
   */
  claim(asked: string | undefined, otherwise: string): string {
    const known = this.readJson("mesh.json")?.mesh;
    if (typeof known !== "string") {
      const mesh = asked ?? otherwise;
      this.writeJson("mesh.json", { mesh });
      return mesh;
    }
    if (asked !== undefined && asked !== known) {
      throw new AshlarError(
        "conflict",
        `the data folder ${this.path} belongs to mesh ${JSON.stringify(known)}, not ${JSON.stringify(asked)}; give another --data`,
      );
    }
    return known;
  }

  /** Returns the ports of the last run, which proxies have in their files. */
  savedPorts(): SavedPorts | undefined {
    const { admin, join: joinPort, console } = this.readJson("ports.json") ?? {};
    if (!isPort(admin) || !isPort(joinPort)) return undefined;
    return { admin, join: joinPort, console: isPort(console) ? console : undefined };
  }

  savePorts(ports: SavedPorts): void {
    this.writeJson("ports.json", ports);
  }

  /** Removes the ready file of an earlier run, which is no longer true. */
  removeReadyFiles(): void {
    for (const name of readyFiles) rmSync(join(this.path, name), { force: true });
  }

  readJson(name: string): Readonly<Record<string, unknown>> | undefined {
    try {
      const value: unknown = JSON.parse(readFileSync(join(this.path, name), "utf8"));
      return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
    } catch {
      return undefined;
    }
  }

  /** Writes a file by rename, so that a reader sees all of it or nothing. Mode 0600. Fails with `unavailable`. */
  writeJson(name: string, value: unknown): void {
    writeDurably(join(this.path, name), `${JSON.stringify(value, undefined, 2)}\n`);
  }

  /**
   * Releases the folder. Contexts and join files stay, so that proxies can be started and commands report that the
   * control plane is down. A folder that is still empty is removed.
   */
  close(): void {
    rmSync(join(this.path, "ready.json"), { force: true });
    releaseFolder(this.path);
    this.#removeEmpty();
  }
}

function isPort(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value > 0 && value <= 65535;
}

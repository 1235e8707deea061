/**
 * A disk that fails: what the sources write below a folder goes through it, with Node's own file system underneath. Put
 * it in place of `node:fs` and `node:fs/promises` before the sources are imported:
 *
 *   jest.unstable_mockModule("node:fs", () => disk.fs);
 *   jest.unstable_mockModule("node:fs/promises", () => disk.promises);
 *
 * Each byte that is written costs one, and so do a sync and a rename. What comes after the last one that may happen fails.
 */
import * as realFs from "node:fs";
import * as realPromises from "node:fs/promises";

/** ENOSPC: no further byte fits. EIO: no change of the disk works. kill: nothing works, because the process is dead. */
export type DiskFault = "ENOSPC" | "EIO" | "kill";

export const diskFaults: readonly DiskFault[] = ["ENOSPC", "EIO", "kill"];

type Handle = realPromises.FileHandle;
type Bytes = Uint8Array | string;

const bytesOf = (content: Bytes): Buffer => (typeof content === "string" ? Buffer.from(content) : Buffer.from(content));

export class FaultyDisk {
  readonly #root: string;
  #left = Number.POSITIVE_INFINITY;
  #fault: DiskFault = "ENOSPC";
  #spent = 0;

  /** Only paths that begin with `root` can fail. */
  constructor(root: string) {
    this.#root = root;
  }

  /** The number of bytes written, syncs and renames since the last `heal`. */
  get spent(): number {
    return this.#spent;
  }

  /** Lets `left` more bytes, syncs and renames succeed, and then fails with `fault`. */
  failAfter(left: number, fault: DiskFault): void {
    this.#left = left;
    this.#fault = fault;
  }

  /** Lets everything succeed again. */
  heal(): void {
    this.#left = Number.POSITIVE_INFINITY;
    this.#spent = 0;
  }

  get #isBroken(): boolean {
    return this.#left <= 0;
  }

  /** Returns how many of `count` bytes may be written. Throws if none may. */
  #take(count: number): number {
    if (count === 0) return 0;
    if (this.#isBroken) throw this.#failure();
    const taken = Math.min(count, this.#left);
    this.#left -= taken;
    this.#spent += taken;
    return taken;
  }

  #failure(): Error {
    return Object.assign(new Error(`${this.#fault}: a fault of the test, write`), { code: this.#fault });
  }

  /** Throws if the disk has one of these faults. */
  #require(...faults: readonly DiskFault[]): void {
    if (this.#isBroken && faults.includes(this.#fault)) throw this.#failure();
  }

  #isOurs(path: unknown): boolean {
    return String(path).startsWith(this.#root);
  }

  get fs(): typeof realFs {
    const ours = new Set<number>();
    const mocked = {
      ...realFs,
      openSync: (path: string, ...rest: [string, number?]) => {
        if (this.#isOurs(path)) this.#require("kill");
        const fd = realFs.openSync(path, ...rest);
        if (this.#isOurs(path)) ours.add(fd);
        return fd;
      },
      writeSync: (fd: number, bytes: Uint8Array, offset = 0) =>
        realFs.writeSync(fd, bytes, offset, ours.has(fd) ? this.#take(bytes.length - offset) : undefined),
      fsyncSync: (fd: number) => {
        if (ours.has(fd)) this.#take(1);
        realFs.fsyncSync(fd);
      },
      closeSync: (fd: number) => {
        ours.delete(fd);
        realFs.closeSync(fd);
      },
      renameSync: (from: string, to: string) => {
        if (this.#isOurs(to)) this.#take(1);
        realFs.renameSync(from, to);
      },
      rmSync: (path: string, options?: realFs.RmOptions) => {
        if (this.#isOurs(path)) this.#require("kill", "EIO");
        realFs.rmSync(path, options);
      },
      appendFileSync: (path: string, content: Bytes, options?: { mode?: number; flush?: boolean }) => {
        const bytes = bytesOf(content);
        const fd = mocked.openSync(path, "a", options?.mode);
        try {
          for (let done = 0; done < bytes.length; ) done += mocked.writeSync(fd, bytes, done);
          if (options?.flush) mocked.fsyncSync(fd);
        } finally {
          mocked.closeSync(fd);
        }
      },
    };
    return { ...mocked, default: mocked } as unknown as typeof realFs;
  }

  get promises(): typeof realPromises {
    const guarded =
      <Rest extends unknown[], Result>(
        work: (path: string, ...rest: Rest) => Promise<Result>,
        ...faults: DiskFault[]
      ) =>
      async (path: string, ...rest: Rest): Promise<Result> => {
        if (this.#isOurs(path)) this.#require(...faults);
        return work(path, ...rest);
      };
    const mocked = {
      ...realPromises,
      open: async (path: string, ...rest: [string | number, number?]) => {
        if (!this.#isOurs(path)) return realPromises.open(path, ...rest);
        this.#require("kill");
        return this.#wrap(await realPromises.open(path, ...rest));
      },
      rename: async (from: string, to: string) => {
        if (this.#isOurs(to)) this.#take(1);
        await realPromises.rename(from, to);
      },
      link: async (from: string, to: string) => {
        if (this.#isOurs(to)) this.#take(1);
        await realPromises.link(from, to);
      },
      rm: guarded(realPromises.rm as (path: string, options?: realFs.RmOptions) => Promise<void>, "kill", "EIO"),
      mkdir: guarded(realPromises.mkdir as (path: string) => Promise<unknown>, "kill"),
    };
    return { ...mocked, default: mocked } as unknown as typeof realPromises;
  }

  /** Returns a handle whose writes are counted. Reads work until the process is "dead". */
  #wrap(handle: Handle): Handle {
    const write = async (content: Bytes, at: number | undefined): Promise<void> => {
      const bytes = bytesOf(content);
      for (let done = 0; done < bytes.length; ) {
        const count = this.#take(bytes.length - done);
        done += (await handle.write(bytes, done, count, at === undefined ? null : at + done)).bytesWritten;
      }
    };
    const sync = async (): Promise<void> => {
      this.#take(1);
      await handle.sync();
    };
    const changed: Partial<Record<keyof Handle, unknown>> = {
      write: async (bytes: Uint8Array, offset = 0, length = bytes.length - offset, position?: number) =>
        handle.write(bytes, offset, this.#take(length), position ?? null),
      appendFile: (content: Bytes) => write(content, undefined),
      writeFile: (content: Bytes) => write(content, 0),
      sync,
      datasync: sync,
      truncate: async (length: number) => {
        this.#require("kill", "EIO");
        await handle.truncate(length);
      },
    };
    return new Proxy(handle, {
      get: (target, name) => {
        if (name in changed) return changed[name as keyof Handle];
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }
}

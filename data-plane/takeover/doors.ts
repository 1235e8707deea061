/**
 * The listening sockets of a proxy, by name. A successor can take them over, and this process removes what it leaves.
 */
import { lstatSync, rmSync } from "node:fs";
import type { Server } from "node:net";
import type { HostPort, SocketAddress } from "../../runtime/config.js";
import type { HandedAddress, Handover } from "../../runtime/listen.js";
import type { Predecessor } from "./predecessor.js";

interface Door {
  readonly server: Server;
  readonly address: SocketAddress;
}

export class Doors {
  readonly #predecessor: Predecessor | undefined;
  readonly #doors = new Map<string, Door>();
  readonly #later: (() => void)[] = [];
  /** The inodes of the Unix sockets that this process created, by path. */
  readonly #placed = new Map<string, number>();

  /** `predecessor`: the process whose sockets are taken over. undefined: there is none. */
  constructor(predecessor: Predecessor | undefined) {
    this.#predecessor = predecessor;
  }

  /** Whether the predecessor listens at a Unix socket's path, so that its socket is to be replaced. */
  get replaces(): boolean {
    return this.#predecessor !== undefined;
  }

  /** Returns `address` with what its listener needs to be taken over now or later. `name` is the same in each run. */
  async at<Address extends SocketAddress>(name: string, address: Address): Promise<HandedAddress<Address>> {
    const handle = "path" in address ? undefined : await this.#predecessor?.socketOf(name, address);
    return { ...address, handover: this.#handover(name, address, handle) };
  }

  /** Moves the new Unix sockets to the paths of the predecessor's sockets. */
  replace(): void {
    for (const step of this.#later.splice(0)) step();
  }

  /** Returns the TCP listener with this name if a successor that wants `wanted` may have it. */
  find(name: string, wanted: HostPort): Server | undefined {
    const door = this.#doors.get(name);
    if (door === undefined || "path" in door.address || door.address.host !== wanted.host) return undefined;
    const bound = door.server.address();
    const port = bound === null || typeof bound === "string" ? undefined : bound.port;
    return wanted.port === 0 || wanted.port === port ? door.server : undefined;
  }

  /** Removes the Unix sockets that are still those of this process. */
  removePaths(): void {
    for (const [path, inode] of this.#placed) if (inodeOf(path) === inode) rmSync(path, { force: true });
    this.#placed.clear();
  }

  #handover(name: string, address: SocketAddress, handle: object | undefined): Handover {
    const opened = (server: Server): void => void this.#doors.set(name, { server, address });
    if (!("path" in address)) return { handle, opened };
    const { path } = address;
    const place = (step: () => void): void => {
      step();
      this.#placed.set(path, inodeOf(path) ?? 0);
    };
    const later = (step: () => void): void => {
      if (this.replaces) this.#later.push(() => place(step));
      else place(step);
    };
    return { opened, later };
  }
}

function inodeOf(path: string): number | undefined {
  return lstatSync(path, { throwIfNoEntry: false })?.ino;
}

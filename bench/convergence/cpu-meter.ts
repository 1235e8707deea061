import { readFileSync } from "node:fs";
import { cpuSecondsOf } from "../cpu-time.js";

/** The CPU time that was used, in milliseconds. */
export interface CpuUsed {
  readonly subscribersMs: number;
  readonly controlPlaneMs: number;
  readonly natsMs: number;
}

/** Measures the CPU time of the bench's processes from /proc, so on Linux only. */
export class CpuMeter {
  readonly #subscribers: readonly number[];
  readonly #controlPlane: number;
  readonly #nats: readonly number[];

  /** The process of NATS is found as the child of the control plane. */
  constructor(subscribers: readonly number[], controlPlane: number) {
    this.#subscribers = subscribers;
    this.#controlPlane = controlPlane;
    this.#nats = childrenOf(controlPlane);
  }

  read(): CpuUsed {
    const sum = (pids: readonly number[]): number => pids.reduce((all, pid) => all + cpuSecondsOf(pid), 0) * 1000;
    return {
      subscribersMs: sum(this.#subscribers),
      controlPlaneMs: sum([this.#controlPlane]),
      natsMs: sum(this.#nats),
    };
  }

  since(start: CpuUsed): CpuUsed {
    const now = this.read();
    return {
      subscribersMs: now.subscribersMs - start.subscribersMs,
      controlPlaneMs: now.controlPlaneMs - start.controlPlaneMs,
      natsMs: now.natsMs - start.natsMs,
    };
  }
}

function childrenOf(pid: number): readonly number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number);
  } catch {
    return []; // this kernel does not list children
  }
}

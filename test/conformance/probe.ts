/** A good client beside the attacks: calls through the mesh, all the time, over connections of its own. */
import type { Duplex } from "node:stream";
import { RawPeer } from "../support/raw-peer.js";
import { data, headers, message, request } from "../support/wire.js";
import { pause } from "./child.js";
import { probePath } from "./upstream.js";

export interface ProbeResult {
  readonly calls: number;
  readonly failed: number;
  readonly firstFailure: string;
  readonly p99Ms: number;
  readonly mostMs: number;
}

const everyMs = 10;
const deadlineSeconds = 10;

export class Probe {
  readonly #open: () => Duplex;
  readonly #scheme: string;
  #peer: RawPeer | undefined;
  #id = 1;
  #stopped = false;
  #tookMs: number[] = [];
  #failures: string[] = [];
  reconnects = 0;
  readonly #loop: Promise<void>;

  /** `open`: opens a connection to who is called, with this scheme. */
  constructor(scheme: "http" | "https", open: () => Duplex) {
    this.#scheme = scheme;
    this.#open = open;
    this.#loop = this.#run();
  }

  start(): void {
    this.#tookMs = [];
    this.#failures = [];
  }

  result(): ProbeResult {
    const sorted = [...this.#tookMs].sort((a, b) => a - b);
    return {
      calls: sorted.length,
      failed: this.#failures.length,
      firstFailure: this.#failures[0] ?? "",
      p99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? 0,
      mostMs: sorted.at(-1) ?? 0,
    };
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#loop;
    this.#peer?.close();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const startedMs = performance.now();
      const failure = await this.#call();
      if (failure === undefined) this.#tookMs.push(performance.now() - startedMs);
      else if (!this.#stopped) this.#failures.push(failure);
      await pause(everyMs);
    }
  }

  async #call(): Promise<string | undefined> {
    if (this.#peer === undefined || this.#peer.closed || this.#peer.goaways.length > 0) {
      if (this.#peer !== undefined) this.reconnects++;
      this.#peer?.close();
      this.#peer = new RawPeer(this.#open(), false);
      this.#id = 1;
    }
    const peer = this.#peer;
    const stream = peer.stream(this.#id);
    this.#id += 2;
    const fields = request(probePath, {
      ":scheme": this.#scheme,
      "x-sent": String(stream.id),
      "grpc-timeout": `${deadlineSeconds}S`,
    });
    peer.send(headers(stream.id, fields), data(stream.id, message("probe"), true));
    await peer.until(() => stream.isOver, deadlineSeconds * 1000 + 5000);
    peer.streams.delete(stream.id);
    if (stream.value("grpc-status") === "0" && stream.value("x-sent") === String(stream.id)) return undefined;
    if (stream.resetCode !== undefined) return `reset ${stream.resetCode}`;
    if (!stream.isOver) return peer.closed ? `connection closed ${peer.error}` : "no end, not even by its deadline";
    return `grpc-status ${stream.value("grpc-status")} ${stream.value("grpc-message") ?? ""}`;
  }
}

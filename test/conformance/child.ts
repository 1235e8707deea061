/** A process of the mesh under test: started, waited for, and stopped by its own id. */
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { until } from "../support/until.js";
import { whenKilled } from "./when-killed.js";

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A busy machine starts a process slowly. */
const startMsMax = 60_000;
const outputBytesKept = 200_000;

export class Child {
  readonly name: string;
  readonly exited: Promise<number>;
  out = "";
  errors = "";
  isRunning = true;
  readonly #child: ChildProcess;

  constructor(name: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.name = name;
    this.#child = spawn(process.execPath, args, {
      env: { ...process.env, XDG_CONFIG_HOME: "/dev/null", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child.stdout?.on("data", (text: Buffer) => {
      this.out = (this.out + text).slice(-outputBytesKept);
    });
    this.#child.stderr?.on("data", (text: Buffer) => {
      this.errors = (this.errors + text).slice(-outputBytesKept);
    });
    const takeBack = whenKilled({ end: () => this.stop(), endNow: () => this.#end() });
    this.exited = new Promise((resolve) => {
      this.#child.on("close", (code, signal) => {
        takeBack();
        this.isRunning = false;
        resolve(code ?? (signal === null ? 1 : 128));
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async said(text: string): Promise<void> {
    const said = (): boolean => {
      if (!this.isRunning) throw new Error(`${this.name} ended: ${this.errors.slice(-1500)}`);
      return this.out.includes(text);
    };
    await until(`${this.name} says ${text}`, said, startMsMax);
  }

  signal(name: NodeJS.Signals): void {
    if (this.isRunning) this.#child.kill(name);
  }

  async stop(): Promise<number> {
    this.#end();
    const timer = setTimeout(() => this.signal("SIGKILL"), 20_000);
    const code = await this.exited;
    clearTimeout(timer);
    return code;
  }

  #end(): void {
    this.signal("SIGCONT"); // one that is stopped would not notice
    this.signal("SIGTERM");
  }

  /** Resident memory, in bytes. */
  get rssBytes(): number {
    const found = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.pid}/status`, "utf8"));
    return Number(found?.[1] ?? 0) * 1024;
  }

  get openFiles(): number {
    return readdirSync(`/proc/${this.pid}/fd`).length;
  }
}

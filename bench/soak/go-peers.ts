/** Clients and servers on grpc-go, its newest version and the one in Debian 12, built if `go` is found. */
import { execFile, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

const runFile = promisify(execFile);
const versions = [
  { name: "grpc-go, newest", modfile: "go.mod" },
  { name: "grpc-go 1.47", modfile: "debian.mod" },
] as const;

export interface GoResult {
  readonly calls: number;
  readonly failed: number;
  readonly first: string;
}

export class GoPeer {
  readonly name: string;
  readonly #binary: string;
  readonly #stops: (() => void)[] = [];

  private constructor(name: string, binary: string) {
    this.name = name;
    this.#binary = binary;
  }

  /** Builds them into `dir`; none without `go`, or where its modules cannot be had: `missing` hears why. */
  static async build(root: string, dir: string, missing: (why: string) => void): Promise<GoPeer[]> {
    const peers: GoPeer[] = [];
    for (const [place, { name, modfile }] of versions.entries()) {
      const binary = join(dir, `go-peer-${place}`);
      try {
        const cwd = join(root, "bench/peers");
        await runFile("go", ["build", `-modfile=${modfile}`, "-o", binary, "."], { cwd, timeout: 300_000 });
        peers.push(new GoPeer(name, binary));
      } catch (error) {
        missing(`${name}: ${error instanceof Error ? error.message.split("\n").slice(0, 3).join(" ") : String(error)}`);
      }
    }
    return peers;
  }

  /** Serves on a socket until `stop` is called. */
  async serve(path: string): Promise<void> {
    const child = spawn(this.#binary, ["server", `unix:${path}`], { stdio: ["ignore", "pipe", "inherit"] });
    this.#stops.push(() => child.kill());
    await new Promise<void>((resolve, reject) => {
      createInterface({ input: child.stdout }).once("line", () => resolve());
      child.once("exit", (code) => reject(new Error(`${this.name} ended with ${code}`)));
    });
  }

  /** Makes `rate` calls per second for some seconds. Every fifth misses its deadline intentionally. */
  async call(path: string, authority: string, rate: number, seconds: number): Promise<GoResult> {
    const args = ["client", `unix:${path}`, authority, String(rate), String(Math.ceil(seconds))];
    const { stdout } = await runFile(this.#binary, args, { timeout: (seconds + 60) * 1000 });
    return JSON.parse(stdout) as GoResult;
  }

  /** Runs every case that gRPC's users rely on. Resolves with what was wrong in each. "": nothing. */
  async cases(path: string, authority: string): Promise<Record<string, string>> {
    const { stdout } = await runFile(this.#binary, ["cases", `unix:${path}`, authority], { timeout: 240_000 });
    return JSON.parse(stdout) as Record<string, string>;
  }

  stop(): void {
    for (const stop of this.#stops.splice(0)) stop();
  }
}

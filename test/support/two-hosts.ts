/** Two "hosts" for tests: network namespaces, joined by a cable that can be cut silently. */
import { spawnSync } from "node:child_process";
import { type Finished, run, TestProcess } from "./processes.js";

const near = { address: "10.211.0.1", device: "near", hardware: "02:00:00:00:02:01" };
const far = { address: "10.211.0.2", device: "far", hardware: "02:00:00:00:02:02" };
/** An address that no device has. Frames to it are dropped, as at a host without power. */
const nobody = "02:00:00:00:02:ff";

/** The arguments that run a command in a namespace. */
export type Prefix = readonly string[];

export class TwoHosts {
  readonly nearAddress = near.address;
  readonly farAddress = far.address;
  readonly #near: TestProcess;
  #far: TestProcess | undefined;

  private constructor() {
    this.#near = holder("unshare", ["-rn", "--"]);
  }

  /** Returns why this machine cannot have two hosts, or undefined if it can. */
  static whyNot(): string | undefined {
    const script = "ip link set lo up && ip link add name near type veth peer name far && nsenter --version";
    const { status, stderr, error } = spawnSync("unshare", ["-rn", "sh", "-c", script], { encoding: "utf8" });
    if (status === 0) return undefined;
    return `no network namespaces: ${error?.message ?? stderr.trim().split("\n").at(-1)}`;
  }

  static async open(): Promise<TwoHosts> {
    const hosts = new TwoHosts();
    try {
      await hosts.#join();
      return hosts;
    } catch (error) {
      await hosts.close();
      throw error;
    }
  }

  get near(): Prefix {
    return prefixOf(this.#near);
  }

  get far(): Prefix {
    return this.#far === undefined ? [] : prefixOf(this.#far);
  }

  /** Drops all packets both ways. Nothing is refused, reset or closed. */
  async cut(): Promise<void> {
    await this.#point(nobody, nobody);
  }

  async mend(): Promise<void> {
    await this.#point(far.hardware, near.hardware);
  }

  async close(): Promise<void> {
    await this.#far?.stop("SIGKILL");
    await this.#near.stop("SIGKILL");
  }

  async #join(): Promise<void> {
    await this.#near.said("ready");
    const [command = "", ...args] = this.near;
    this.#far = holder(command, [...args, "unshare", "-n", "--"]);
    await this.#far.said("ready");
    const pair = `${near.device} address ${near.hardware} type veth peer name ${far.device} address ${far.hardware}`;
    await ip(this.near, `link add name ${pair}`);
    await ip(this.near, `link set ${far.device} netns ${this.#far.pid}`);
    for (const [prefix, { address, device }] of [
      [this.near, near],
      [this.far, far],
    ] as const) {
      await ip(prefix, `address add ${address}/30 dev ${device}`);
      await ip(prefix, `link set ${device} up`);
    }
    await this.mend();
  }

  async #point(toFar: string, toNear: string): Promise<void> {
    await ip(this.near, `neighbour replace ${far.address} lladdr ${toFar} dev ${near.device} nud permanent`);
    await ip(this.far, `neighbour replace ${near.address} lladdr ${toNear} dev ${far.device} nud permanent`);
  }
}

/** Starts a process that keeps a namespace. Its children take over its process id by exec. */
function holder(command: string, args: readonly string[]): TestProcess {
  const script = "ip link set lo up && echo ready && exec sleep 1000";
  return new TestProcess("a host", command, [...args, "sh", "-c", script]);
}

function prefixOf({ pid }: TestProcess): Prefix {
  return ["nsenter", "--target", String(pid), "--user", "--net", "--preserve-credentials", "--"];
}

async function ip(prefix: Prefix, words: string): Promise<void> {
  const { code, stderr } = await runIn(prefix, "ip", words.split(" "));
  if (code !== 0) throw new Error(`ip ${words}: ${stderr}`);
}

/** Runs a command on a host, to its end. */
export function runIn(
  prefix: Prefix,
  command: string,
  args: readonly string[],
  env?: Record<string, string>,
): Promise<Finished> {
  const [first = command, ...rest] = [...prefix, command, ...args];
  return run(first, rest, env === undefined ? {} : { env });
}

/** Starts a process on a host. */
export function startIn(prefix: Prefix, name: string, command: string, args: readonly string[]): TestProcess {
  const [first = command, ...rest] = [...prefix, command, ...args];
  return new TestProcess(name, first, rest);
}

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { AdminClient } from "../../cli/client.js";
import type { Mesh } from "../../test/conformance/mesh.js";
import { nameOf } from "./policies.js";
import type { SubscribersOrder, Switched } from "./subscribers.js";

const boundMs = 180_000;

/** Runs subscribers in processes of their own and learns when each of them switched. */
export class SubscriberCrew {
  readonly #children: ChildProcess[] = [];
  readonly #switched = new Map<number, number[]>();
  readonly #total: number;
  #ready = 0;
  #ended: string | undefined;
  #news: () => void = () => {};

  private constructor(total: number) {
    this.#total = total;
  }

  /** Starts `count` subscribers of `services` services in `processes` processes. Resolves when they have joined. */
  static async start(
    mesh: Mesh,
    admin: AdminClient,
    { count, services, processes }: { readonly count: number; readonly services: number; readonly processes: number },
  ): Promise<SubscriberCrew> {
    const crew = new SubscriberCrew(count);
    const tokens: string[] = [];
    const uses = Math.ceil(count / services);
    for (let index = 0; index < services; index += 1) {
      const request = { service: nameOf(index), version: "", ttlMs: 0, uses, controlPlane: "" };
      tokens.push((await admin.createJoinToken(request)).token);
    }
    const members = Array.from({ length: count }, (_, index) => {
      const service = index % services;
      return { service: nameOf(service), token: tokens[service] ?? "" };
    });
    const share = Math.ceil(count / processes);
    const orders: SubscribersOrder[] = [];
    for (let first = 0; first < count; first += share) {
      const folder = join(mesh.dir, `subscribers-${first}`);
      orders.push({ folder, join: join(mesh.data, "join.json"), members: members.slice(first, first + share) });
    }
    for (const order of orders) crew.#spawn(order);
    try {
      await crew.#until("all subscribers have joined", () => crew.#ready === orders.length);
    } catch (error) {
      await crew.stop();
      throw error;
    }
    return crew;
  }

  /** Resolves when the last subscriber has switched to `epoch`, with each one's time in Unix milliseconds. */
  async switchedTo(epoch: number): Promise<readonly number[]> {
    await this.#until(`every subscriber evaluates epoch ${epoch}`, () => this.#at(epoch).length === this.#total);
    return this.#at(epoch);
  }

  get pids(): readonly number[] {
    return this.#children.map(({ pid = 0 }) => pid);
  }

  async stop(): Promise<void> {
    await Promise.all(
      this.#children.map(async (child) => {
        child.stdin?.end();
        const timer = setTimeout(() => child.kill("SIGKILL"), 20_000);
        if (child.exitCode === null) await once(child, "exit");
        clearTimeout(timer);
      }),
    );
  }

  #at(epoch: number): readonly number[] {
    return this.#switched.get(epoch) ?? [];
  }

  #spawn(order: SubscribersOrder): void {
    const program = join(import.meta.dirname, "subscribers.js");
    const child = spawn(process.execPath, [program], { stdio: ["pipe", "pipe", "inherit"] });
    this.#children.push(child);
    child.once("exit", (code) => {
      this.#ended = `subscribers ended with ${code}`;
      this.#news();
    });
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (line === "ready") this.#ready += 1;
      else {
        const { epoch, atMs } = JSON.parse(line) as Switched;
        this.#switched.set(epoch, [...this.#at(epoch), ...atMs]);
      }
      this.#news();
    });
    child.stdin.write(`${JSON.stringify(order)}\n`);
  }

  async #until(what: string, holds: () => boolean): Promise<void> {
    const late = setTimeout(() => {
      this.#ended = `not within ${boundMs} ms: ${what}`;
      this.#news();
    }, boundMs);
    try {
      while (!holds()) {
        if (this.#ended !== undefined) throw new Error(this.#ended);
        await new Promise<void>((resolve) => {
          this.#news = resolve;
        });
      }
    } finally {
      clearTimeout(late);
    }
  }
}

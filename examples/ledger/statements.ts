/** A projection of the ledger from its event feed: the balance of each account, computed from events alone. */
import { status } from "@grpc/grpc-js";
import { type EventMethod, join, type Mesh } from "../../sdk/index.js";
import type { DemoMesh } from "../shop/demo-mesh.js";
import { expect } from "../shop/demo-parts.js";
import { Ledger, type Receipt, type TransferRequest } from "./protocol.js";

const waitMs = 30_000;
const transfer = Ledger.service.Transfer as EventMethod<TransferRequest, Receipt>;

export class Statements {
  readonly #mesh: Mesh;
  readonly #cents = new Map<string, number>();
  #next = 0;
  #events = 0;
  #failure: unknown;
  readonly #reading: Promise<void>;

  private constructor(mesh: Mesh) {
    this.#mesh = mesh;
    this.#reading = this.#read().catch((error: unknown) => {
      this.#failure = error;
    });
  }

  static async open(mesh: DemoMesh): Promise<Statements> {
    return new Statements(await join({ service: "statements", agent: mesh.agentOf("statements") }));
  }

  get events(): number {
    return this.#events;
  }

  /** Waits for this many transfers, and returns the balance of an account after them. */
  async cents(name: string, transfers: number): Promise<number> {
    for (const endMs = Date.now() + waitMs; this.#events < transfers; ) {
      if (this.#failure !== undefined) throw this.#failure;
      expect(Date.now() < endMs, `${transfers} transfers come by the feed, but ${this.#events} did`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return this.#cents.get(name) ?? 0;
  }

  async close(): Promise<void> {
    await this.#mesh.leave();
    await this.#reading;
  }

  async #read(): Promise<void> {
    for await (const event of this.#mesh.events("ledger")) {
      if (event.position < this.#next) continue; // it came again after a failure
      this.#next = event.next;
      const booked = event.code === status.OK ? event.as(transfer) : undefined;
      if (booked === undefined) continue;
      const { from, to, cents } = booked.request;
      this.#add(from, -cents);
      this.#add(to, cents);
      this.#events += 1;
    }
  }

  #add(name: string, cents: number): void {
    this.#cents.set(name, (this.#cents.get(name) ?? 0) + cents);
  }
}

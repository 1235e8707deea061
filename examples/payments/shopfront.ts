/** The caller of payments. It knows shop.v1 only and never stops calling; every failed call is counted. */
import { type Client, Metadata, status } from "@grpc/grpc-js";
import { join, type Mesh } from "../../sdk/index.js";
import { callWith } from "../shop/calls.js";
import type { DemoMesh } from "../shop/demo-mesh.js";
import { expect } from "../shop/demo-parts.js";
import { type Payment, PaymentsV1 } from "./protocol.js";

const pauseMs = 5;
const failuresKept = 5;

export class Shopfront {
  readonly #mesh: Mesh;
  readonly #client: Client;
  readonly #failures: string[] = [];
  #calls = 0;
  #failed = 0;
  #running = true;
  readonly #loop: Promise<void>;
  readonly #watched: { readonly by: Set<string>; ended: string };
  readonly #stopWatching: () => void;

  private constructor(mesh: Mesh) {
    this.#mesh = mesh;
    this.#client = new PaymentsV1(...mesh.client("payments"));
    this.#watched = { by: new Set(), ended: "" };
    this.#stopWatching = this.#watch();
    this.#loop = this.#callOn();
  }

  /** Joins through the proxy of storefront, opens a stream, and begins to call. */
  static async open(mesh: DemoMesh): Promise<Shopfront> {
    return new Shopfront(await join({ service: "storefront", agent: mesh.agentOf("storefront") }));
  }

  /** Charges a user; fails unless the call is answered. */
  async charge(user: string, headers: Readonly<Record<string, string>> = {}): Promise<Payment> {
    const { code, message, responses } = await this.#charge(user, headers);
    const [payment] = responses;
    if (code === status.OK && payment !== undefined) return payment;
    throw new Error(`a call failed: ${status[code]}, ${message}`);
  }

  /** Returns which version serves each of so many users. */
  async sides(users: number): Promise<ReadonlyMap<string, string>> {
    const sides = new Map<string, string>();
    for (let user = 0; user < users; user++) {
      const name = `user-${user}`;
      sides.set(name, (await this.charge(name)).served_by);
    }
    return sides;
  }

  /**
   * Stops calling. Fails if any call was lost, or if the stream did not reach its end at the instance where it began.
   */
  async close(): Promise<string> {
    this.#running = false;
    await this.#loop;
    const { by, ended } = this.#watched;
    this.#stopWatching();
    this.#client.close();
    await this.#mesh.leave();
    expect(this.#failed === 0, `no call is lost, but ${this.#failed} of ${this.#calls} failed: ${this.#failures}`);
    expect(ended === "", `the stream stays open, but it ended: ${ended}`);
    expect(by.size === 1, `the stream stays where it began, but it was served by ${[...by]}`);
    return `${this.#calls} calls beside all this: none failed; a stream from the first minute is still with ${[...by]}`;
  }

  #charge(user: string, headers: Readonly<Record<string, string>>) {
    const metadata = new Metadata();
    for (const [name, value] of Object.entries({ "x-user": user, ...headers })) metadata.set(name, value);
    return callWith<Payment>(metadata, this.#client, PaymentsV1, "Charge", { cents: 100 });
  }

  async #callOn(): Promise<void> {
    while (this.#running) {
      const { code, message } = await this.#charge(`passer-by-${this.#calls % 100}`, {});
      this.#calls++;
      if (code !== status.OK) {
        this.#failed++;
        if (this.#failures.length < failuresKept) this.#failures.push(`${status[code]}, ${message}`);
      }
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }

  #watch(): () => void {
    const { Watch } = PaymentsV1.service;
    if (Watch === undefined) throw new Error("shop.v1.Payments has no Watch");
    const { path, requestSerialize, responseDeserialize } = Watch;
    const stream = this.#client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, {});
    stream.on("data", ({ served_by }: Payment) => this.#watched.by.add(served_by));
    stream.on("error", () => {}); // its status says why
    stream.on("status", ({ code, details }) => {
      this.#watched.ended = `${status[code]}, ${details}`;
    });
    return () => stream.cancel();
  }
}

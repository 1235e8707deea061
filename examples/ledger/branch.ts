/**
 * A branch of the bank: a client of the ledger that repeats a transfer under the same key until it knows the outcome.
 */
import { type Client, Metadata, status } from "@grpc/grpc-js";
import { join, type Mesh } from "../../sdk/index.js";
import { callWithin, type Outcome } from "../shop/calls.js";
import type { DemoMesh } from "../shop/demo-mesh.js";
import { expect } from "../shop/demo-parts.js";
import {
  type Account,
  Ledger,
  type Receipt,
  type Registered,
  type RegisterRequest,
  type TransferRequest,
} from "./protocol.js";

const answerMs = 10_000;
const patienceMs = 60_000;

export interface TransferOptions {
  readonly key: string;
  /** The last sequence of the payer's account that the client knows; left out: the client does not check it. */
  readonly expected?: number;
  readonly timeoutMs?: number;
  /** Delays the application's answer by this many milliseconds. */
  readonly slowMs?: number;
}

/** Returns the sequence that an answer states; with ABORTED it is that of the transfer that came first. */
export const sequenceOf = ({ trailers }: Outcome<unknown>): number => Number(trailers.get("ashlar-sequence")[0] ?? 0);

export class Branch {
  readonly #mesh: Mesh;
  readonly #client: Client;
  /** The acknowledged transfers, which the ledger must have. */
  readonly #booked: TransferRequest[] = [];
  #busy: Promise<void> = Promise.resolve();
  #isBusy = false;
  #held = 0;

  private constructor(mesh: Mesh) {
    this.#mesh = mesh;
    this.#client = new Ledger(...mesh.client("ledger"));
  }

  static async open(mesh: DemoMesh): Promise<Branch> {
    return new Branch(await join({ service: "branch", agent: mesh.agentOf("branch") }));
  }

  /** Sends a transfer once. */
  async transfer(request: TransferRequest, options: TransferOptions): Promise<Outcome<Receipt>> {
    const metadata = new Metadata();
    metadata.set("idempotency-key", options.key);
    metadata.set("x-account", request.from);
    if (options.expected !== undefined) metadata.set("ashlar-expected-sequence", String(options.expected));
    if (options.slowMs !== undefined) metadata.set("x-slow-ms", String(options.slowMs));
    const { timeoutMs = answerMs } = options;
    const outcome = await callWithin<Receipt>(timeoutMs, metadata, this.#client, Ledger, "Transfer", request);
    if (outcome.code === status.OK) this.#note(options.key, request);
    return outcome;
  }

  /** Makes somebody the customer of an account. */
  register(request: RegisterRequest): Promise<Outcome<Registered>> {
    const metadata = new Metadata();
    metadata.set("idempotency-key", `register-${request.account}`);
    metadata.set("x-account", request.account);
    return callWithin<Registered>(answerMs, metadata, this.#client, Ledger, "Register", request);
  }

  /** Repeats a transfer under the same key while its outcome is unknown. */
  async transferUntilKnown(request: TransferRequest, options: TransferOptions): Promise<Outcome<Receipt>> {
    for (const endMs = Date.now() + patienceMs; ; ) {
      const outcome = await this.transfer(request, options);
      if (outcome.code !== status.UNAVAILABLE && outcome.code !== status.DEADLINE_EXCEEDED) return outcome;
      this.#held += 1;
      expect(Date.now() < endMs, `a transfer is answered in time, but: ${outcome.message}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Asks a version of the ledger about an account; left out: the live version. */
  async account(name: string, version?: string): Promise<Account> {
    const metadata = new Metadata();
    if (version !== undefined) metadata.set("x-version", version);
    for (const endMs = Date.now() + patienceMs; ; ) {
      const asked = await callWithin<Account>(answerMs, metadata, this.#client, Ledger, "GetAccount", { name });
      const [account] = asked.responses;
      if (asked.code === status.OK && account !== undefined) return account;
      expect(Date.now() < endMs, `the ledger answers, but: ${asked.message}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Returns what an account must have by all acknowledged transfers. */
  owed(name: string): number {
    return this.#booked.reduce((cents, each) => {
      const paid = each.from === name ? each.cents : 0;
      return cents - paid + (each.to === name ? each.cents : 0);
    }, 0);
  }

  get booked(): number {
    return this.#booked.length;
  }

  /** How often a transfer was sent again. */
  get askedAgain(): number {
    return this.#held;
  }

  /** Begins transfers between customers, one after the other. */
  beginBusiness(names: readonly string[]): void {
    this.#isBusy = true;
    this.#busy = (async () => {
      for (let count = 0; this.#isBusy; count += 1) {
        const from = names[count % names.length] ?? "";
        const to = names[(count + 1) % names.length] ?? "";
        const { code, message } = await this.transferUntilKnown(
          { from, to, cents: 1 + (count % 9) },
          { key: `business-${count}` },
        );
        expect(code === status.OK, `every transfer is booked, but: ${message}`);
      }
    })();
    this.#busy.catch(() => {}); // `endBusiness` reports the failure
  }

  /** Ends the transfers. Fails if one was not booked. */
  async endBusiness(): Promise<void> {
    this.#isBusy = false;
    await this.#busy;
  }

  async close(): Promise<void> {
    this.#isBusy = false;
    this.#client.close();
    await this.#mesh.leave();
  }

  readonly #keys = new Set<string>();

  #note(key: string, request: TransferRequest): void {
    if (!this.#keys.has(key)) this.#booked.push(request);
    this.#keys.add(key);
  }
}

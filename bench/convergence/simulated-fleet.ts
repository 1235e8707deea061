/**
 * P5 at 10,000 proxies: the adoption machine of each (data-plane/sync), in virtual time. The rest is a model: a server
 * that writes to one proxy after the other, a network, verification, a disk, and lost messages.
 */
import { generateKeyPairSync } from "node:crypto";
import { freshnessAfterMs, freshnessEveryMs } from "../../control-plane/freshness/freshness-loop.js";
import { digestOf } from "../../core/digest.js";
import { buildSpiffeId } from "../../core/identity.js";
import type { Activation, Freshness, PreparedRevision, Signed } from "../../core/model.js";
import { createSigner } from "../../core/signature.js";
import { signActivation } from "../../core/wire/records.js";
import type { SyncEvent, SyncState } from "../../data-plane/sync/sync-model.js";
import { startSync, step } from "../../data-plane/sync/sync-state.js";
import { printTable } from "../proxy/contenders.js";
import { highest, median, quantile, render, verdict } from "./figures.js";

export interface SimulatedFleetOptions {
  readonly proxies: number;
  readonly activations: number;
  /** How long the server takes to write one message to one proxy, in microseconds. */
  readonly fanOutUs: number;
}

interface Model {
  readonly name: string;
  readonly fanOutMs: number;
  /** The range of the one-way delay in milliseconds, evenly distributed. */
  readonly networkMs: readonly [number, number];
  /** The range of the time in milliseconds to write and fsync the floor. */
  readonly diskMs: readonly [number, number];
  /** How long verifying a signature and the machine's step take, in milliseconds. */
  readonly verifyMs: number;
  /** The share of messages that are lost. */
  readonly lost: number;
}

const aimMs = 500;
const mesh = "bench";
const signer = createSigner(generateKeyPairSync("ed25519").privateKey);
const revisions: readonly PreparedRevision[] = [1, 2].map((number) => ({
  number,
  digest: digestOf(Buffer.from(`revision ${number}`)),
}));

function chainOf(length: number): readonly Signed<Activation>[] {
  const chain: Signed<Activation>[] = [];
  for (let epoch = 1; epoch <= length; epoch += 1) {
    const { number, digest } = revisions[epoch % 2] as PreparedRevision;
    const body: Activation = {
      epoch,
      revisionNumber: number,
      revisionDigest: digest,
      previous: chain.at(-1)?.digest,
      reason: "",
      author: buildSpiffeId(mesh, "operator", "bench"),
      timeMs: epoch,
      rollbackOf: undefined,
      forced: false,
      thresholdPercent: 0,
      rollout: undefined,
    };
    chain.push(signActivation(body, mesh, signer));
  }
  return chain;
}

/** How many steps of the machine ran, and the milliseconds of this process that they took. */
const cost = { steps: 0, ms: 0 };

class SimulatedProxy {
  #state: SyncState;
  readonly #waiting: { readonly atMs: number; readonly event: SyncEvent }[] = [];
  readonly #model: Model;
  readonly #head: () => Signed<Activation>;
  #switchedMs = Number.NaN;

  constructor(id: string, model: Model, first: Signed<Activation>, head: () => Signed<Activation>) {
    this.#model = model;
    this.#head = head;
    const known = { activations: [first], trust: [], onDisk: true, trusting: undefined, evaluating: first };
    this.#state = startSync({ proxyId: id, ...known, prepared: revisions, history: revisions }).state;
  }

  /** Delivers a message that the server writes at `sentMs`, unless it is lost. */
  deliver(sentMs: number, event: SyncEvent): void {
    const { lost, verifyMs, networkMs } = this.#model;
    if (Math.random() >= lost) this.#add(sentMs + between(networkMs) + verifyMs, event);
  }

  /** Handles all messages in the order of time. Returns when the proxy evaluated the head. NaN: it did not. */
  run(): number {
    this.#switchedMs = Number.NaN;
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      const startMs = performance.now();
      const { state, effects } = step(this.#state, next.event);
      cost.ms += performance.now() - startMs;
      cost.steps += 1;
      this.#state = state;
      for (const effect of effects) {
        const { networkMs, diskMs, verifyMs } = this.#model;
        if (effect.kind === "switch") this.#switchedMs = next.atMs;
        if (effect.kind === "save-floor")
          this.#add(next.atMs + between(diskMs), { kind: "floor-saved", floor: effect.floor });
        if (effect.kind === "read-head" && effect.log === "activations") {
          const backMs = next.atMs + between(networkMs) + between(networkMs) + verifyMs;
          this.#add(backMs, { kind: "activation", record: this.#head() });
        }
      }
    }
    return this.#switchedMs;
  }

  get epoch(): number {
    return this.#state.evaluating?.body.epoch ?? 0;
  }

  #add(atMs: number, event: SyncEvent): void {
    const before = this.#waiting.findIndex((one) => one.atMs > atMs);
    this.#waiting.splice(before < 0 ? this.#waiting.length : before, 0, { atMs, event });
  }
}

const between = ([low, high]: readonly [number, number]): number => low + Math.random() * (high - low);

function simulate(model: Model, proxies: number, chain: readonly Signed<Activation>[]): readonly number[] {
  const [first] = chain;
  if (first === undefined) return [];
  let head = first;
  const fleet = Array.from(
    { length: proxies },
    (_, index) => new SimulatedProxy(`proxy-${index}`, model, first, () => head),
  );
  const lags: number[] = [];
  for (const record of chain.slice(1)) {
    head = record;
    const freshness = statementOf(record);
    const fanOutMs = proxies * model.fanOutMs;
    const turn = Math.floor(Math.random() * proxies); // so that no proxy is always the last
    fleet.forEach((proxy, index) => {
      const written = ((index + turn) % proxies) * model.fanOutMs;
      proxy.deliver(written, { kind: "activation", record });
      proxy.deliver(Math.max(fanOutMs, freshnessAfterMs) + written, { kind: "freshness", freshness });
      proxy.deliver(freshnessAfterMs + freshnessEveryMs + written, { kind: "freshness", freshness });
      lags.push(proxy.run());
      if (proxy.epoch !== record.body.epoch && model.lost === 0) throw new Error("a proxy did not converge");
    });
  }
  return lags;
}

function statementOf({ body, digest }: Signed<Activation>): Freshness {
  const heads = { epoch: body.epoch, activation: digest, trustSequence: 0, revisionNumber: 2 };
  return { ...heads, issuedMs: 0, expiresMs: 15_000 };
}

/** Simulates the adoption machine of every proxy in virtual time. */
export function simulateFleet({ proxies, activations, fanOutUs }: SimulatedFleetOptions): void {
  console.log(`\n### P5: activation to in force at ${proxies} simulated proxies (virtual time)\n`);
  const near: Omit<Model, "name"> = {
    fanOutMs: fanOutUs / 1000,
    networkMs: [0.1, 2],
    diskMs: [1, 20],
    verifyMs: 1,
    lost: 0,
  };
  const models: readonly Model[] = [
    { ...near, name: "one site" },
    { ...near, name: "far and slow disks", networkMs: [20, 150], diskMs: [5, 200] },
    { ...near, name: "one site, 1 message of 1000 lost", lost: 0.001 },
  ];
  const chain = chainOf(activations + 1);
  const rows = models.map((model) => {
    const lags = simulate(model, proxies, chain);
    const there = lags.filter((lag) => !Number.isNaN(lag));
    const figures = [median(there), quantile(there, 0.99), quantile(there, 0.9999), highest(there)].map(render);
    const aim = model.lost === 0 ? verdict(highest(there), aimMs, "ms") : "";
    return [model.name, ...figures, String(lags.length - there.length), aim];
  });
  printTable(["model", "p50 ms", "p99 ms", "p99.99 ms", "max ms", "not there in 3 s", "aim of the last"], rows);
  const each = (cost.ms / cost.steps) * 1000;
  console.log(
    `\nThe server takes ${fanOutUs} µs to write a message to a proxy. ${cost.steps} steps, ${each.toFixed(0)} µs each.`,
  );
}

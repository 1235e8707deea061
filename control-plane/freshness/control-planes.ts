/**
 * Finds out which control planes of the mesh are up: each signs a statement about the heads of the logs every three
 * seconds, and the others hear it. A control plane whose key is trusted and that says nothing is down, or cut off from
 * NATS.
 */
import type { KeySet } from "../../core/signature.js";
import { keySetOf, verifyFreshness } from "../../core/wire/records.js";
import { freshnessSubject } from "../../core/wire/subjects.js";
import { onAbort } from "../../runtime/abort.js";
import type { Bus } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";
import type { Problem } from "../fleet/problems.js";
import type { Ledger } from "../store/ledger.js";

export interface ControlPlanesDeps {
  readonly mesh: string;
  readonly ledger: Pick<Ledger, "trust">;
  readonly bus: Pick<Bus, "subscribe" | "onStatus" | "connected">;
  readonly clock: Pick<Clock, "monotonicMs">;
  /** The name of this control plane. */
  readonly self: string;
}

/** The milliseconds after which five statements were missed. */
const silentMs = 15_000;
/**
 * The milliseconds after which a silent control plane is no longer a problem: one that was taken out of service looks
 * like one that is broken.
 */
const forgottenMs = 24 * 3_600_000;
const queuedMax = 256;
const keysMax = 256;

export interface KnownControlPlane {
  readonly name: string;
  /** True for this control plane itself. */
  readonly self: boolean;
  /** True if it has said nothing for 15 s while this control plane heard everything. */
  readonly silent: boolean;
  /** Milliseconds since its last statement, or since this control plane began to listen. */
  readonly heardAgoMs: number;
}

export class ControlPlanes {
  readonly #deps: ControlPlanesDeps;
  readonly #startedMs: number;
  /** When the last statement under each key arrived. */
  readonly #heard = new Map<string, number>();
  /** Since when this control plane has heard everything; undefined: NATS is away. */
  #hearingMs: number | undefined;
  #keys: { readonly of: unknown; readonly keys: KeySet } | undefined;

  /** Listens until `signal` aborts. */
  constructor(deps: ControlPlanesDeps, signal: AbortSignal) {
    this.#deps = deps;
    this.#startedMs = deps.clock.monotonicMs();
    this.#hearingMs = deps.bus.connected ? this.#startedMs : undefined;
    const subscription = deps.bus.subscribe(freshnessSubject, { queueMax: queuedMax });
    onAbort(signal, () => subscription.close());
    const off = deps.bus.onStatus(({ connected }) => {
      this.#hearingMs = connected ? deps.clock.monotonicMs() : undefined;
    });
    onAbort(signal, off);
    void (async () => {
      for await (const { data } of subscription) this.#hear(data);
    })();
  }

  /** The number of control planes that are up, this one included. */
  get there(): number {
    return this.#holders().size - this.#gone().length;
  }

  /** The number of control planes that have said nothing for a while. */
  get gone(): number {
    return this.#gone().length;
  }

  /** Returns every control plane whose key is trusted, sorted by name. */
  list(): readonly KnownControlPlane[] {
    const nowMs = this.#deps.clock.monotonicMs();
    const isHearing = this.#hearingMs !== undefined && nowMs - this.#hearingMs >= silentMs;
    const all = [...this.#holders()].map(([name, heardMs]): KnownControlPlane => {
      const self = name === this.#deps.self;
      const heardAgoMs = self ? 0 : nowMs - heardMs;
      return { name, self, heardAgoMs, silent: isHearing && heardAgoMs >= silentMs };
    });
    return all.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  problems(): readonly Problem[] {
    return this.#gone().map(({ name, forMs }) => ({
      code: "control-plane-silent",
      message:
        `control plane ${name} has said nothing for ${Math.round(forMs / 1000)} s: it does not run, or is cut off from NATS; ` +
        "the others publish, activate and let proxies join meanwhile",
      subject: name,
    }));
  }

  #hear(bytes: Uint8Array): void {
    const { mesh, ledger, clock } = this.#deps;
    const trust = ledger.trust.head();
    if (trust === undefined) return;
    if (this.#keys?.of !== trust) this.#keys = { of: trust, keys: keySetOf(trust.body) };
    try {
      const { kid } = verifyFreshness(bytes, mesh, this.#keys.keys);
      if (this.#heard.size >= keysMax) this.#heard.clear();
      this.#heard.set(kid, clock.monotonicMs());
    } catch {
      // proxies refuse such a statement as well, and report it
    }
  }

  #gone(): readonly { readonly name: string; readonly forMs: number }[] {
    const { clock, self } = this.#deps;
    const nowMs = clock.monotonicMs();
    const hearingMs = this.#hearingMs;
    if (hearingMs === undefined || nowMs - hearingMs < silentMs) return [];
    return [...this.#holders()].flatMap(([holder, heardMs]) => {
      const forMs = nowMs - heardMs;
      if (holder === self || forMs < silentMs || forMs > forgottenMs) return [];
      return [{ name: holder, forMs }];
    });
  }

  /** Returns the holders of trusted keys, with the time of the last statement of each, or since when there was none. */
  #holders(): ReadonlyMap<string, number> {
    const holders = new Map<string, number>();
    for (const { kid, holder } of this.#deps.ledger.trust.head()?.body.signingKeys ?? []) {
      const heardMs = this.#heard.get(kid) ?? this.#startedMs;
      holders.set(holder, Math.max(heardMs, holders.get(holder) ?? 0));
    }
    return holders;
  }
}

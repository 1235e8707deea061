/**
 * Which control planes of the mesh are there: each signs a statement about the heads of the logs every three seconds, and
 * the others hear it. One whose key is trusted and that says nothing is gone, or cut off from NATS.
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

/** Five statements were missed. */
const silentMs = 15_000;
/** One that was taken out of service cannot be told from one that is broken: after a day it is a problem no more. */
const forgottenMs = 24 * 3_600_000;
const queuedMax = 256;
const keysMax = 256;

export interface KnownControlPlane {
  readonly name: string;
  /** It is this one. */
  readonly self: boolean;
  /** It has said nothing for 15 s, while this one heard everything. */
  readonly silent: boolean;
  /** Milliseconds since its last statement, or since this one listens. */
  readonly heardAgoMs: number;
}

export class ControlPlanes {
  readonly #deps: ControlPlanesDeps;
  readonly #startedMs: number;
  /** When a statement under each key came last. */
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

  /** How many are there, this one among them. */
  get there(): number {
    return this.#holders().size - this.#gone().length;
  }

  /** How many have said nothing for a while. */
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
      // proxies refuse it as well, and say so
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

  /** Who holds a key that is trusted, and when a statement of it came last, or since when none did. */
  #holders(): ReadonlyMap<string, number> {
    const holders = new Map<string, number>();
    for (const { kid, holder } of this.#deps.ledger.trust.head()?.body.signingKeys ?? []) {
      const heardMs = this.#heard.get(kid) ?? this.#startedMs;
      holders.set(holder, Math.max(heardMs, holders.get(holder) ?? 0));
    }
    return holders;
  }
}

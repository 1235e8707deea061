/**
 * When statements about the heads of the logs were signed, told without trusting anybody's wall clock. Pure.
 *
 * Each signer states the time of its own wall clock. What counts is not that time but how it moves against this
 * process's monotonic clock: the statement that came soonest after it was signed gives the offset between the two, and
 * by that offset every later one has an age. A statement that is played again, or held back and played later, has the
 * age that it has, so it never makes anything look fresher than it is.
 *
 * An offset begins, and is checked, by an anchor: the answer of a control plane that this proxy asked over verified
 * TLS (nobody can have kept that answer for later), and before the first such answer this machine's own clock.
 */

/**
 * How far a signer's clock may be ahead of the anchor, in milliseconds. Statements that are further ahead do not count.
 */
const signerAheadMsMax = 60_000;
/** The longest validity that a statement may state, in milliseconds. */
const validMsMax = 60_000;
/**
 * The rate at which an offset is lowered over time, so that a signer with a slower clock does not look late. Real
 * clocks drift apart by less.
 */
const driftShare = 0.0005;

export interface StatedTime {
  readonly kid: string;
  readonly issuedMs: number;
  readonly expiresMs: number;
}

/** The readings of this process's clocks when the statement arrived. */
export interface Arrival {
  readonly wallMs: number;
  readonly monotonicMs: number;
  /** True if the statement answers this proxy's own question, from a control plane whose certificate was verified. */
  readonly isAnswer: boolean;
}

export type StatementAge =
  /** The statement counts. It was signed at `atMs` of the monotonic clock. */
  | { readonly kind: "signed"; readonly atMs: number }
  /** The signer's clock is too far ahead of the anchor, by this many milliseconds. */
  | { readonly kind: "ahead"; readonly byMs: number }
  /** By the anchor the statement was signed too long ago: it is replayed, or a clock is wrong. */
  | { readonly kind: "late"; readonly byMs: number };

interface Offset {
  readonly ms: number;
  readonly setAtMs: number;
}

export class SignerClocks {
  /** The signer's wall clock minus this process's monotonic clock, in milliseconds. */
  readonly #offsets = new Map<string, Offset>();
  /** The offset of the last control plane that answered. */
  #anchor: Offset | undefined;
  /** The offset by the last statement that counted. */
  #last: Offset | undefined;

  judge({ kid, issuedMs, expiresMs }: StatedTime, arrival: Arrival): StatementAge {
    const { monotonicMs, isAnswer } = arrival;
    const observedMs = issuedMs - monotonicMs;
    if (isAnswer) {
      this.#anchor = { ms: observedMs, setAtMs: monotonicMs };
      return this.#count(kid, observedMs, monotonicMs, 0);
    }
    const validMs = Math.min(validMsMax, Math.max(0, expiresMs - issuedMs));
    const anchorMs = this.#anchorMs(arrival);
    const aheadMs = observedMs - anchorMs;
    if (aheadMs > signerAheadMsMax) return { kind: "ahead", byMs: aheadMs };
    const known = this.#offsets.get(kid);
    const ageMs = known === undefined ? Math.max(0, -aheadMs) : lowered(known, monotonicMs) - observedMs;
    // a clock that was ahead and was corrected: its statements look late by its past, and are right by the anchor
    if (ageMs > validMs && Math.abs(aheadMs) > validMs) return { kind: "late", byMs: ageMs };
    if (known === undefined || ageMs <= 0 || ageMs > validMs) return this.#count(kid, observedMs, monotonicMs, 0);
    return this.#count(kid, observedMs + ageMs, monotonicMs, ageMs);
  }

  /** Returns the present time of the control plane heard last. Without one: this machine's own time. */
  meshMs(wallMs: number, monotonicMs: number): number {
    const offset = this.#last ?? this.#anchor;
    return offset === undefined ? wallMs : offset.ms + monotonicMs;
  }

  /** Returns how far this machine's clock is ahead of the control plane's. undefined: no control plane was heard. */
  aheadMs(wallMs: number, monotonicMs: number): number | undefined {
    return this.#last === undefined ? undefined : wallMs - (this.#last.ms + monotonicMs);
  }

  /** Forgets the signers that are not trusted any more. */
  keepOnly(isTrusted: (kid: string) => boolean): void {
    for (const kid of this.#offsets.keys()) if (!isTrusted(kid)) this.#offsets.delete(kid);
  }

  #anchorMs({ wallMs, monotonicMs }: Arrival): number {
    return this.#anchor === undefined ? wallMs - monotonicMs : this.#anchor.ms;
  }

  #count(kid: string, offsetMs: number, monotonicMs: number, ageMs: number): StatementAge {
    const offset = { ms: offsetMs, setAtMs: monotonicMs };
    this.#offsets.set(kid, offset);
    this.#last = offset;
    return { kind: "signed", atMs: monotonicMs - ageMs };
  }
}

function lowered({ ms, setAtMs }: Offset, monotonicMs: number): number {
  return ms - Math.max(0, monotonicMs - setAtMs) * driftShare;
}

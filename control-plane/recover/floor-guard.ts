/**
 * Keeps this control plane from signing a number again. While a log is behind what is known to have been signed, or
 * behind what proxies claim and had no time to prove, nothing that goes into a log is signed (decision 0014).
 */
import type { Digest } from "../../core/digest.js";
import { AshlarError } from "../../core/errors.js";
import type { Heartbeat } from "../../core/model.js";
import { claimedType, type RecordType } from "../../core/signature.js";
import { type OfferedLog, offeredLogs } from "../../core/wire/offers.js";
import type { Clock } from "../../runtime/clock.js";
import type { SeenHeads } from "../identity/identity-issuer.js";
import type { Ledger, RecordLog } from "../store/ledger.js";
import { findConflicts, renderConflict, recordWords as words } from "./conflicts.js";
import { type RivalClaim, RivalClaims } from "./rival-claims.js";
import { type ClaimedLog, holdMs, type SeenClaim, SeenClaims } from "./seen-claims.js";

export interface FloorGuardDeps {
  readonly ledger: Pick<Ledger, OfferedLog>;
  readonly clock: Clock;
  /** True if the logs were empty at the start of a control plane that had served before. */
  readonly lostAtStart: boolean;
}

/** The milliseconds within which a log catches up by itself if another one follows it: it is read every two seconds. */
const catchUpMs = 3000;
const lookMs = 100;
const namedMax = 3;
const claimedLogs: readonly ClaimedLog[] = ["trust", "activations", "revisions"];
const logOf: Readonly<Partial<Record<RecordType, OfferedLog>>> = {
  "ashlar-trust": "trust",
  "ashlar-activation": "activations",
  "ashlar-revision": "revisions",
  "ashlar-rollout": "rollouts",
};

/** The end of a log, and the highest known record beyond it. */
interface LogEdge {
  readonly head: number;
  readonly ahead: { readonly key: number; readonly digest: Digest } | undefined;
}

export class FloorGuard {
  readonly #deps: FloorGuardDeps;
  readonly #claims: SeenClaims;
  readonly #rivals: RivalClaims;
  readonly #startedMs: number;

  constructor(deps: FloorGuardDeps) {
    this.#deps = deps;
    this.#startedMs = deps.clock.monotonicMs();
    const digestAt = (log: ClaimedLog, key: number) => deps.ledger[log].find(key)?.digest;
    this.#claims = new SeenClaims({ headKey: (log) => edgeOf(deps.ledger, log).head, digestAt });
    this.#rivals = new RivalClaims({ digestAt, has: (log, digest) => deps.ledger[log].has(digest) });
  }

  /** Notes what a heartbeat claims. */
  hear(heartbeat: Heartbeat): void {
    const { proxyId, seenEpoch, seenActivation, trustSequence, prepared, rejected } = heartbeat;
    this.#hear({ proxyId, log: "activations", key: seenEpoch, digest: seenActivation });
    this.#hear({ proxyId, log: "trust", key: trustSequence, digest: undefined });
    const revisions = [...prepared, ...(rejected === undefined ? [] : [rejected])];
    const newest = revisions.reduce((max, one) => (one.number > max.number ? one : max), {
      number: heartbeat.evaluatingRevision,
      digest: heartbeat.evaluatingDigest,
    });
    this.#hear({ proxyId, log: "revisions", key: newest.number, digest: newest.digest });
    const { evaluatingRevision: key, evaluatingDigest: digest } = heartbeat;
    this.#rivals.hear({ proxyId, log: "revisions", key, digest }, this.#deps.clock.monotonicMs());
  }

  /** Notes what a renewing proxy claims. */
  hearSeen(proxyId: string, { epoch, activation, trustSequence }: SeenHeads): void {
    this.#hear({ proxyId, log: "activations", key: epoch, digest: activation });
    this.#hear({ proxyId, log: "trust", key: trustSequence, digest: undefined });
  }

  #hear(claim: SeenClaim): void {
    const nowMs = this.#deps.clock.monotonicMs();
    this.#claims.hear(claim, nowMs);
    this.#rivals.hear(claim, nowMs);
  }

  /**
   * Fails with `stale` if nothing may be signed for this log now; the message says what is missing, who has it and what
   * to do.
   */
  check(log: OfferedLog): void {
    const why =
      this.#lack() ??
      this.#contested(log) ??
      this.#verifiedAhead() ??
      this.#afterLoss() ??
      this.#claimedAhead(log) ??
      this.#claimedRival(log);
    if (why !== undefined) throw new AshlarError("stale", why);
  }

  /** Returns a function that waits as long as a log may take to catch up by itself, and then fails as `check` does. */
  settledFor(log: OfferedLog): (signal?: AbortSignal) => Promise<void> {
    return (signal) => this.#settled(log, signal);
  }

  async #settled(log: OfferedLog, signal: AbortSignal | undefined): Promise<void> {
    const { clock } = this.#deps;
    const endMs = clock.monotonicMs() + catchUpMs;
    for (;;) {
      try {
        this.check(log);
        return;
      } catch (error) {
        if (clock.monotonicMs() >= endMs || signal?.aborted) throw error;
        await clock.sleep(lookMs, signal);
      }
    }
  }

  /** Checks a record that is about to be signed; statements that go into no log pass. */
  checkRecord(bytes: Uint8Array): void {
    const type = claimedType(bytes);
    const log = type && logOf[type];
    if (log !== undefined) this.check(log);
  }

  /** Returns what forbids signing, one line each. */
  problems(): readonly string[] {
    const problems = [this.#verifiedAhead(), this.#afterLoss()].filter((line) => line !== undefined);
    const nowMs = this.#deps.clock.monotonicMs();
    const ofLog = (claims: readonly SeenClaim[], log: OfferedLog) =>
      highest(claims.filter((claim) => claim.log === log));
    for (const log of claimedLogs) {
      const [holding, unproven] = [ofLog(this.#claims.holding(nowMs), log), ofLog(this.#claims.unproven(nowMs), log)];
      if (holding !== undefined) problems.push(this.#renderHold(holding));
      if (unproven !== undefined) {
        const { claim, proxyIds } = unproven;
        problems.push(
          `${proxyIds.join(", ")} said to have seen ${words[claim.log]} ${claim.key} and never showed it: not believed; is that proxy sound?`,
        );
      }
    }
    const { holding: held, unproven: unshown } = this.#rivals.list(nowMs);
    problems.push(...held.slice(0, namedMax).map(renderRival));
    for (const { proxyId, log, key } of unshown.slice(0, namedMax))
      problems.push(
        `${proxyId} said to have seen another ${words[log]} ${key} than this log has and never showed it: not believed; is that proxy sound?`,
      );
    return problems;
  }

  /** Says that signed bytes prove what a proxy has seen, and that the records from the log up to there are lost. */
  #verifiedAhead(): string | undefined {
    for (const log of claimedLogs) {
      const { ahead, head } = edgeOf(this.#deps.ledger, log);
      if (ahead === undefined || ahead.key <= head || !this.#claims.isClaimed(log, ahead.key, ahead.digest)) continue;
      return (
        `${words[log]} ${ahead.key} was signed and the log ends at ${head}: what lies between is lost, and nothing is signed; ` +
        "start a proxy that has it, put the ledger folder or NATS's store back from a backup, or move both away and start again to go on from what proxies hold"
      );
    }
    return undefined;
  }

  /** Says that two records with the same number verify, and nobody has chosen. */
  #contested(log: OfferedLog): string | undefined {
    const blocking = this.#deps.ledger[log].blocking();
    if (blocking === undefined) return undefined;
    const found = findConflicts(this.#deps.ledger).find(({ rival }) => rival.digest === blocking.rival.digest);
    return found && renderConflict(found);
  }

  #claimedRival(log: OfferedLog): string | undefined {
    const { holding } = this.#rivals.list(this.#deps.clock.monotonicMs());
    const claim = holding.find((one) => one.log === log);
    return claim && renderRival(claim);
  }

  /**
   * Says that a stream does not return what it stored. It applies to all logs, because what is signed for one depends
   * on the others.
   */
  #lack(): string | undefined {
    for (const log of offeredLogs) {
      const why = this.#deps.ledger[log].lack();
      if (why !== undefined) return why;
    }
    return undefined;
  }

  #afterLoss(): string | undefined {
    const { ledger, clock, lostAtStart } = this.#deps;
    if (!lostAtStart) return undefined;
    if (ledger.trust.head() === undefined)
      return (
        "the logs of this mesh are lost, in NATS and in this control plane's ledger folder: proxies that run give back what they hold; " +
        "start one, or put the ledger folder back from a backup (a mesh without either begins anew with another --data)"
      );
    if (clock.monotonicMs() - this.#startedMs >= holdMs) return undefined;
    return `the logs of this mesh were lost: nothing is signed in the first ${holdMs / 1000} s, while proxies give back what they hold; repeat this then`;
  }

  /**
   * Says that a proxy claims more than a log has. A claim about the same log counts at once; one about another log
   * counts after that log had the time to catch up.
   */
  #claimedAhead(log: OfferedLog): string | undefined {
    const nowMs = this.#deps.clock.monotonicMs();
    const same = this.#claims.holding(nowMs).filter((claim) => claim.log === log);
    const found = highest(same) ?? highest(this.#claims.holding(nowMs, catchUpMs));
    return found && this.#renderHold(found);
  }

  #renderHold({ claim, proxyIds }: HighestClaim): string {
    const { head } = edgeOf(this.#deps.ledger, claim.log);
    return (
      `the fleet has seen ${words[claim.log]} ${claim.key} (${proxyIds.join(", ")}) and this control plane's log ends at ${head}: ` +
      `it lost records and asks for them; repeat this in ${holdMs / 1000} s, when they are back or nobody could show them`
    );
  }
}

function renderRival({ proxyId, log, key, digest }: RivalClaim): string {
  return (
    `${proxyId} has seen another ${words[log]} ${key} (${digest}) than this control plane's log has: it is asked for; ` +
    `repeat this in ${holdMs / 1000} s, when it was shown or nobody could show it`
  );
}

interface HighestClaim {
  readonly claim: SeenClaim;
  /** The first few proxies that claim it. */
  readonly proxyIds: readonly string[];
}

function highest(claims: readonly SeenClaim[]): HighestClaim | undefined {
  const claim = claims.reduce<SeenClaim | undefined>((max, one) => (max && max.key >= one.key ? max : one), undefined);
  if (claim === undefined) return undefined;
  const same = claims.filter(({ log, key }) => log === claim.log && key === claim.key);
  return { claim, proxyIds: same.slice(0, namedMax).map(({ proxyId }) => proxyId) };
}

function edgeOf(ledger: FloorGuardDeps["ledger"], log: ClaimedLog): LogEdge {
  switch (log) {
    case "trust":
      return edge(ledger.trust, ({ sequence }) => sequence);
    case "activations":
      return edge(ledger.activations, ({ epoch }) => epoch);
    case "revisions":
      return edge(ledger.revisions, ({ number }) => number);
  }
}

function edge<Body>(log: RecordLog<Body>, keyOf: (body: Body) => number): LogEdge {
  const [head, ahead] = [log.head(), log.ahead()];
  return {
    head: head === undefined ? 0 : keyOf(head.body),
    ahead: ahead && { key: keyOf(ahead.body), digest: ahead.digest },
  };
}

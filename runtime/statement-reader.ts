/**
 * Verifies that a proxy made the statements in its name. They are judged by the certificate that comes with them and
 * the local trust record, never by the way in which they arrived (decision 0026). A statement without a certificate of
 * the mesh, or with an expired or revoked one, is treated as absent.
 */

import { BoundedMap } from "../core/bounded-map.js";
import { AshlarError } from "../core/errors.js";
import type { Revocation, Signed, Trust } from "../core/model.js";
import type { KeySet } from "../core/signature.js";
import type { FleetWriter } from "../core/wire/fleet.js";
import { firstStoredMs, type ReadMessage } from "../core/wire/journal/imported.js";
import { keySetOf } from "../core/wire/records.js";
import {
  followsLink,
  holdsStatement,
  leafDigest,
  parseStatement,
  type Said,
  type Statement,
  type StatementKind,
  statementHeader,
} from "../core/wire/statement.js";
import { parseFleetSubject } from "../core/wire/subjects.js";
import type { BusMessage } from "./bus.js";
import type { Clock } from "./clock.js";
import { JournalStatements } from "./journal-statements.js";
import { rootsIn } from "./mesh-contact.js";
import { checkSame, identify, type Known, refused } from "./statement-chain.js";
import { strangers, VerifyBudget } from "./verify-budget.js";

/**
 * The most milliseconds by which the clocks of the mesh may differ. The first statement from a proxy counts only if its
 * time is within this bound, and a certificate counts for this long after it expires. The bound also limits how long
 * after a proxy's death its last statements can be replayed to a reader that has just started.
 */
export const statementSkewMs = 5 * 60_000;

export interface StatementReaderDeps {
  readonly mesh: string;
  /** Returns the trust record in force; undefined: no statement is trusted. */
  readonly trusting: () => Signed<Trust> | undefined;
  readonly clock: Pick<Clock, "nowMs" | "monotonicMs">;
  /** Returns until when unsigned messages of older versions count, in Unix milliseconds; 0: never. */
  readonly unsignedUntilMs?: () => number;
}

/** The writer of a message. */
export interface Stated {
  readonly writer: FleetWriter;
  /** Who signed it; undefined for a proxy of an older version, which does not sign. */
  readonly signed: SignedBy | undefined;
}

export interface StatedRecord extends Stated {
  /** When the record was stored, in Unix milliseconds; for an imported record, when it was first stored. */
  readonly storedMs: number;
}

export interface SignedBy {
  readonly serial: string;
  readonly notAfterMs: number;
  readonly counter: number;
  readonly timeMs: number;
  /** Set if the writer's certificate is revoked: the record does not count and is only shown to people. */
  readonly revoked: Revocation | undefined;
}

interface Compiled {
  readonly record: Signed<Trust>;
  readonly roots: readonly Uint8Array[];
  /** The keys of control planes. */
  readonly keys: KeySet;
  readonly revoked: ReadonlyMap<string, Revocation>;
}

/** The kinds of statements that are judged as of the time at which they were stored. */
const asOfStored: ReadonlySet<StatementKind> = new Set(["decision", "journal", "journal-batch"]);
const certificatesMax = 20_000;
const countersMax = 50_000;
/** The most successive heartbeats that may be lost before the next one must be verified to tell it from a forgery. */
const linkStepsMax = 16;

export class StatementReader {
  readonly #deps: StatementReaderDeps;
  readonly #journal = new JournalStatements();
  readonly #budget = new VerifyBudget();
  /** Verified chains by the digest of the leaf. */
  readonly #known = new BoundedMap<string, Known>(certificatesMax);
  /** The last accepted counter by kind and proxy, least recently used first. */
  readonly #counters = new BoundedMap<string, number>(countersMax);
  /** The link of the last verified heartbeat, by proxy. */
  readonly #links = new BoundedMap<string, Uint8Array>(certificatesMax);
  /** Proxies that have signed a statement. Their unsigned ones no longer count. */
  readonly #signing = new BoundedMap<string, true>(certificatesMax);
  #compiled: Compiled | undefined;

  constructor(deps: StatementReaderDeps) {
    this.#deps = deps;
  }

  /**
   * Verifies a statement that is made now and once: a heartbeat, a limit report, or a report about calls. Fails as
   * `read` does, and also if the statement was seen before; fails with `stale` if it is the first from a proxy and too
   * old.
   */
  hear(
    kind: "heartbeat" | "limits" | "look",
    message: Pick<BusMessage, "subject" | "data" | "header" | "relayed">,
  ): Stated {
    const nowMs = this.#deps.clock.nowMs();
    const place = (writer: FleetWriter): string => `${kind} ${writer.proxyId}`;
    const stated = this.#read(kind, message, nowMs, ({ counter }, writer) => {
      if (counter <= (this.#counters.get(place(writer)) ?? 0))
        throw refused("it came before (its counter did not grow)");
    });
    if (stated.signed === undefined) return stated;
    const { counter, timeMs } = stated.signed;
    // for a proxy that was heard before, the counter is compared, so setting a clock meanwhile changes nothing
    if (!this.#counters.has(place(stated.writer)) && Math.abs(nowMs - timeMs) > statementSkewMs)
      throw new AshlarError("stale", renderOff(stated.writer, timeMs - nowMs));
    this.#counters.set(place(stated.writer), counter);
    return stated;
  }

  /**
   * Verifies a statement that stands as long as its certificate is valid: an endpoint, judged as of now, or a record
   * that was stored at `atMs`, judged as of then. Fails with `unauthenticated`, `invalid_identity`, `invalid_record` or
   * `limit`; the statement then counts as absent.
   */
  read(
    kind: "endpoint" | "decision",
    message: Pick<BusMessage, "subject" | "data" | "header" | "relayed">,
    atMs: number = this.#deps.clock.nowMs(),
  ): Stated {
    return this.#read(kind, message, atMs, () => {});
  }

  /**
   * Like `read`, for messages that the caller requested from a stream one after the other. A flood of other statements
   * cannot use up the budget for these.
   */
  readAsked(
    kind: "endpoint" | "decision",
    message: Pick<BusMessage, "subject" | "data" | "header" | "relayed">,
    atMs: number = this.#deps.clock.nowMs(),
  ): Stated {
    return this.#read(kind, message, atMs, () => {}, true);
  }

  /**
   * Verifies a record of a service's journal that was read from its stream, where it was stored at `atMs`; for an
   * imported record the time that a control plane signed counts instead. The certificate alone says who wrote it: any
   * proxy of the service may. Fails as `read` does.
   */
  readJournal(service: string, message: ReadMessage, atMs: number): StatedRecord {
    const header = message.header(statementHeader);
    if (header === undefined) throw refused("it is not signed");
    const { statement, leaf, said, holds } = this.#journal.read(header, message.data, this.#deps.mesh);
    const trust = this.#trust();
    if (trust === undefined) throw refused("there is no trust record yet");
    const known =
      this.#known.get(leaf.toString("latin1")) ??
      this.#identify(statement.chain, leaf, trust, { service, proxyId: "" });
    if (known.writer.service !== service) throw refused(`its certificate is of a proxy of ${known.writer.service}`);
    const firstMs = firstStoredMs(message, service, header, { mesh: this.#deps.mesh, keys: trust.keys }) ?? atMs;
    const signed = this.#verify(said, known, trust, firstMs, holds);
    if (signed.revoked !== undefined) throw refused("its certificate was revoked before it was stored");
    return { writer: known.writer, signed, storedMs: firstMs };
  }

  /**
   * Returns whether recent messages in a proxy's name were not verified at all, because there were too many: its
   * silence then proves nothing.
   */
  isDoubtful(proxyId: string): boolean {
    return this.#budget.isDoubtful(proxyId, this.#deps.clock.monotonicMs());
  }

  /** Returns why the certificate with this serial number does not count, or undefined if it is not revoked. */
  revocationOf(serial: string): Revocation | undefined {
    return this.#trust()?.revoked.get(serial);
  }

  #read(
    kind: StatementKind,
    message: Pick<BusMessage, "subject" | "data" | "header" | "relayed">,
    atMs: number,
    check: (statement: Statement, writer: FleetWriter) => void,
    asked = false,
  ): Stated {
    const writer = parseFleetSubject(message.subject);
    if (writer === undefined) throw refused("no proxy writes there");
    const header = message.header(statementHeader);
    if (header === undefined) return this.#unsigned(writer, message.relayed);
    const statement = parseStatement(header);
    check(statement, writer);
    const trust = this.#trust();
    if (trust === undefined) throw refused("there is no trust record yet");
    const leaf = leafDigest(statement.chain[0] ?? new Uint8Array());
    const known = this.#known.get(leaf.toString("latin1"));
    if (known !== undefined) checkSame(known.writer, writer); // costs nothing, so it is at nobody's expense
    const verify = (): SignedBy => {
      const by = known ?? this.#identify(statement.chain, leaf, trust, writer);
      return this.#verify({ ...statement, kind, mesh: this.#deps.mesh, body: message.data }, by, trust, atMs);
    };
    const name = known === undefined ? strangers : writer.proxyId;
    const signed = asked ? verify() : this.#atExpense(name, statement, writer, verify);
    this.#signing.set(writer.proxyId, true);
    return { writer, signed };
  }

  /**
   * Does the expensive verification, unless too many of these have failed. A statement that continues the last verified
   * link may pass nevertheless.
   */
  #atExpense(name: string, { link }: Statement, { proxyId }: FleetWriter, verify: () => SignedBy): SignedBy {
    const nowMs = this.#deps.clock.monotonicMs();
    const last = this.#links.get(proxyId);
    const mayPass = (): boolean => last !== undefined && followsLink(last, link, linkStepsMax);
    if (this.#budget.isExhausted(name, nowMs) || (this.#budget.isSpent(name, nowMs) && !mayPass()))
      throw new AshlarError("limit", "too much came in this proxy's name in the last second: not looked at");
    try {
      const signed = verify();
      this.#budget.spend(name, nowMs, true);
      if (link.length > 0) this.#links.set(proxyId, link);
      return signed;
    } catch (error) {
      this.#budget.spend(name, nowMs, false);
      throw error;
    }
  }

  #verify(
    statement: Said & Statement,
    known: Known,
    trust: Compiled,
    atMs: number,
    holds: (known: Known) => boolean = () => holdsStatement(statement, statement.signature, known.leaf, known.key),
  ): SignedBy {
    const asOf = asOfStored.has(statement.kind); // for statements made now, a clock that is behind proves nothing
    const isEarly = asOf && atMs < known.notBeforeMs - statementSkewMs;
    if (isEarly || atMs > known.notAfterMs + statementSkewMs)
      throw new AshlarError(
        "invalid_identity",
        `certificate ${known.serial} is not valid then: it has expired, or a clock is wrong`,
      );
    if (!holds(known)) throw refused("the signature does not hold");
    const revocation = trust.revoked.get(known.serial);
    // a record that was stored before its certificate was revoked remains valid
    const revoked = revocation !== undefined && asOf && revocation.timeMs > atMs ? undefined : revocation;
    const { counter, timeMs } = statement;
    return { serial: known.serial, notAfterMs: known.notAfterMs, counter, timeMs, revoked };
  }

  #identify(chain: readonly Uint8Array[], leaf: Buffer, trust: Compiled, writer: FleetWriter): Known {
    const made = identify(chain, leaf, trust.roots, this.#deps.mesh, writer);
    this.#known.set(leaf.toString("latin1"), made);
    return made;
  }

  #unsigned(writer: FleetWriter, relayed: boolean): Stated {
    const untilMs = this.#deps.unsignedUntilMs?.() ?? 0;
    if (this.#signing.has(writer.proxyId)) throw refused("it is not signed, and this proxy signs");
    if (this.#deps.clock.nowMs() >= untilMs) throw refused("it is not signed");
    if (relayed) throw refused("it is not signed, and its writer did not publish it");
    return { writer, signed: undefined };
  }

  /** Verifies chains again when the roots have changed; revocations are looked up each time. */
  #trust(): Compiled | undefined {
    const record = this.#deps.trusting();
    if (record === undefined || record === this.#compiled?.record) return this.#compiled;
    const roots = rootsIn(record.body, this.#deps.mesh);
    const before = this.#compiled?.roots ?? [];
    const same =
      roots.length === before.length && roots.every((der, at) => Buffer.compare(der, before[at] ?? der) === 0);
    if (!same) this.#known.clear();
    const revoked = new Map(record.body.revocations.map((one) => [one.serial, one]));
    this.#compiled = { record, roots, keys: keySetOf(record.body), revoked };
    return this.#compiled;
  }
}

function renderOff({ proxyId, service }: FleetWriter, aheadMs: number): string {
  const seconds = Math.round(Math.abs(aheadMs) / 1000);
  return (
    `statement: by the clock of proxy ${proxyId} (${service}) it was said ${seconds} s ${aheadMs < 0 ? "ago" : "from now"}: ` +
    `it is old, or a clock is wrong; what it says counts once they differ by less than ${statementSkewMs / 1000} s`
  );
}

import type { Digest } from "../../core/digest.js";
import type { Activation, Revision, Signed, Trust } from "../../core/model.js";
import type { Rollout } from "../../core/rollout/rollout-model.js";
import type { MissingRange } from "./log-history.js";
import type { LogConflict } from "./log-rivals.js";

/**
 * One append-only log of signed records, as this control plane knows it: every record
 * that was committed, verified and obeys the log's law, in order. What does not verify
 * is skipped, counted and logged, and never shows here.
 */
export interface RecordLog<Body> {
  /** The last record, or undefined while the log is empty. */
  head(): Signed<Body> | undefined;
  /** The record with this number, epoch or sequence. */
  find(key: number): Signed<Body> | undefined;
  /** All records, oldest first. The array is not changed afterwards. */
  list(): readonly Signed<Body>[];
  /**
   * Appends `next` if the head is still the record before it: first to this control plane's own
   * copy's journal of intents, then to the stream by compare-and-set, then to the own fsynced copy.
   * Resolves once it is committed and visible through `head`. Fails with `conflict` if somebody
   * else was first (true with racing writers on a cluster), `unavailable` if NATS is away.
   */
  append(next: Signed<Body>): Promise<void>;
  /**
   * Takes back records that this log lost, in any order, byte for byte as they were signed; judged like everything
   * that is read. With `pastGaps` the log goes on from the highest of them where records in between are lost; else
   * such a record stays in `ahead`. Returns how many records came back. Fails with `unavailable` if NATS is away.
   */
  recover(records: readonly Uint8Array[], pastGaps: boolean): Promise<number>;
  /** Returns whether a record with this digest is known, be it part of the log or not. */
  has(digest: Digest): boolean;
  /** The highest record whose signature holds and that does not lead back to this log: what lies between is lost. */
  ahead(): Signed<Body> | undefined;
  /** The numbers below the head whose records are lost. */
  missing(): readonly MissingRange[];
  /** A record, in the log or not, that a key signed which is trusted now, or that a record which holds names. */
  findSigned(digest: Digest): Signed<Body> | undefined;
  /** Pairs of records of one number that both hold, of which an operator has chosen neither (decision 0031). */
  conflicts(): readonly LogConflict<Body>[];
  /** The lowest conflict while nothing may be signed for this log; undefined while an operator's choice is being signed. */
  blocking(): LogConflict<Body> | undefined;
  /**
   * Runs `act`, which may sign for this log, and then holds the conflicts that there were for settled. Fails as `act`
   * does, and with `conflict` while another choice is being signed.
   */
  settle<Result>(act: () => Promise<Result>): Promise<Result>;
  /** Why nothing can be signed for this log now: NATS does not give all that it stored, and this control plane cannot make up for it. */
  lack(): string | undefined;
  /** Calls `listener` for every record that becomes visible from now on, our own included. Returns the way to stop it. */
  onRecord(listener: (record: Signed<Body>) => void): () => void;
}

/** Content by its SHA-256, write-once: units and snapshot lists. */
export interface BlobStore {
  /** Stores `bytes` durably (stream and own copy); storing them again is harmless. */
  put(bytes: Uint8Array): Promise<Digest>;
  /** Returns whether this control plane's own copy has it. */
  has(digest: Digest): boolean;
  /** The bytes with this digest, checked; undefined if nobody has them. */
  get(digest: Digest): Promise<Uint8Array | undefined>;
}

/** All logs and blobs of a control plane. */
export interface Ledger {
  readonly revisions: RecordLog<Revision>;
  readonly activations: RecordLog<Activation>;
  /** The plans of rollouts; what becomes of them is said by activations that name them. */
  readonly rollouts: RecordLog<Rollout>;
  readonly trust: RecordLog<Trust>;
  readonly blobs: BlobStore;
  /** Returns the present problems of the logs: skipped records, equivocation, a lost stream. */
  problems(): readonly string[];
  close(): Promise<void>;
}

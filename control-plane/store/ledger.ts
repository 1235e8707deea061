import type { Digest } from "../../core/digest.js";
import type { Activation, Revision, Signed, Trust } from "../../core/model.js";
import type { Rollout } from "../../core/rollout/rollout-model.js";
import type { MissingRange } from "./log-history.js";
import type { LogConflict } from "./log-rivals.js";

/**
 * One append-only log of signed records, as this control plane knows it: every record that was committed, was verified
 * and obeys the log's law, in order. Records that do not verify are skipped, counted and logged, and never appear here.
 */
export interface RecordLog<Body> {
  /** Returns the last record, or undefined while the log is empty. */
  head(): Signed<Body> | undefined;
  /** Returns the record with this number, epoch or sequence. */
  find(key: number): Signed<Body> | undefined;
  /** Returns all records, oldest first. The array is not changed afterwards. */
  list(): readonly Signed<Body>[];
  /**
   * Appends `next` if the head is still the record before it: first to the own copy's intent file, then to the stream
   * by compare-and-set, then to the own fsynced copy. Resolves once it is committed and visible through `head`. Fails
   * with `conflict` if somebody else was first (also with racing writers on a cluster), and with `unavailable` if NATS
   * is away.
   */
  append(next: Signed<Body>): Promise<void>;
  /**
   * Takes back records that this log lost, in any order, byte for byte as they were signed. They are judged like all
   * records. With `pastGaps` the log continues from the highest of them even if records in between are lost; otherwise
   * such a record stays in `ahead`. Returns how many records came back. Fails with `unavailable` if NATS is away.
   */
  recover(records: readonly Uint8Array[], pastGaps: boolean): Promise<number>;
  /** Returns whether a record with this digest is known, whether or not it is part of the log. */
  has(digest: Digest): boolean;
  /**
   * Returns the highest record whose signature holds and that does not lead back to this log, because records in
   * between are lost.
   */
  ahead(): Signed<Body> | undefined;
  /** Returns the numbers below the head whose records are lost. */
  missing(): readonly MissingRange[];
  /** Returns a record, in the log or not, that a presently trusted key signed or that a valid record names. */
  findSigned(digest: Digest): Signed<Body> | undefined;
  /** Returns the pairs of valid records with the same number between which no operator has chosen (decision 0031). */
  conflicts(): readonly LogConflict<Body>[];
  /**
   * Returns the lowest conflict while nothing may be signed for this log; undefined while an operator's choice is being
   * signed.
   */
  blocking(): LogConflict<Body> | undefined;
  /**
   * Runs `act`, which may sign for this log, and then marks the conflicts as settled. Fails as `act` does, and with
   * `conflict` while another choice is being signed.
   */
  settle<Result>(act: () => Promise<Result>): Promise<Result>;
  /**
   * Returns why nothing can be signed for this log now: NATS does not return all that it stored, and this control plane
   * cannot replace it. undefined: it can.
   */
  lack(): string | undefined;
  /**
   * Calls `listener` for every record that becomes visible from now on, including our own. Returns a function that
   * removes the listener.
   */
  onRecord(listener: (record: Signed<Body>) => void): () => void;
}

/** Content by its SHA-256, write-once: units and snapshot lists. */
export interface BlobStore {
  /** Stores `bytes` durably (stream and own copy). Storing them again is harmless. */
  put(bytes: Uint8Array): Promise<Digest>;
  /** Returns whether this control plane's own copy has the content. */
  has(digest: Digest): boolean;
  /** Returns the bytes with this digest, checked; undefined if nobody has them. */
  get(digest: Digest): Promise<Uint8Array | undefined>;
}

/** All logs and blobs of a control plane. */
export interface Ledger {
  readonly revisions: RecordLog<Revision>;
  readonly activations: RecordLog<Activation>;
  /** The plans of rollouts. Activations that name a plan say how far it got. */
  readonly rollouts: RecordLog<Rollout>;
  readonly trust: RecordLog<Trust>;
  readonly blobs: BlobStore;
  /** Returns the present problems of the logs: skipped records, equivocation, a lost stream. */
  problems(): readonly string[];
  close(): Promise<void>;
}

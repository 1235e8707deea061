/** The logs of a mesh: the records of each, and the law that they obey. */
import { mayActivate } from "../../core/activation.js";
import { type Digest, zeroDigest } from "../../core/digest.js";
import { AshlarError } from "../../core/errors.js";
import type { Activation, Revision, Signed, Trust } from "../../core/model.js";
import { mayPublish } from "../../core/revision.js";
import { mayPlan } from "../../core/rollout/cohort.js";
import type { Rollout } from "../../core/rollout/rollout-model.js";
import { claimedType, type KeySet, type RecordType } from "../../core/signature.js";
import { mayTrust } from "../../core/trust.js";
import { verifyActivation, verifyRevision, verifyTrust } from "../../core/wire/records.js";
import { verifyRollout } from "../../core/wire/rollouts.js";
import { ingestSubject, type LogName, rolloutSubject } from "../../core/wire/subjects.js";

/** The properties of one log. */
export interface LogLaw<Body> {
  /** The name for people and for files. */
  readonly name: string;
  /** The log whose stream it uses, perhaps beside records of other types. */
  readonly stream: LogName;
  readonly type: RecordType;
  subjectOf(key: number): string;
  verify(bytes: Uint8Array, mesh: string, keys: KeySet): Signed<Body>;
  keyOf(body: Body): number;
  /** Returns the digest of the record before; undefined for the first. */
  linkOf(body: Body): Digest | undefined;
  follows(head: Signed<Body> | undefined, next: Body): boolean;
}

/** Returns the error for a record `key` that does not follow `head` any more. */
export function conflictAt<Body>(law: LogLaw<Body>, head: Signed<Body> | undefined, key: number): AshlarError {
  const at = head === undefined ? "empty" : `at ${law.keyOf(head.body)}`;
  return new AshlarError("conflict", `${law.name}: somebody else was first: the log is ${at}, not before ${key}`);
}

export const revisionLaw: LogLaw<Revision> = {
  name: "revisions",
  stream: "revisions",
  type: "ashlar-revision",
  subjectOf: (key) => ingestSubject("revisions", key),
  verify: verifyRevision,
  keyOf: (body) => body.number,
  linkOf: (body) => (body.parent === zeroDigest ? undefined : body.parent),
  follows: mayPublish,
};

export const activationLaw: LogLaw<Activation> = {
  name: "activations",
  stream: "activations",
  type: "ashlar-activation",
  subjectOf: (key) => ingestSubject("activations", key),
  verify: verifyActivation,
  keyOf: (body) => body.epoch,
  linkOf: (body) => body.previous,
  follows: mayActivate,
};

/** The plans of rollouts, a log of their own in the stream of activations. */
export const rolloutLaw: LogLaw<Rollout> = {
  name: "rollouts",
  stream: "activations",
  type: "ashlar-rollout",
  subjectOf: rolloutSubject,
  verify: verifyRollout,
  keyOf: (body) => body.number,
  linkOf: (body) => body.previous,
  follows: mayPlan,
};

export const trustLaw: LogLaw<Trust> = {
  name: "trust",
  stream: "trust",
  type: "ashlar-trust",
  subjectOf: (key) => ingestSubject("trust", key),
  verify: verifyTrust,
  keyOf: (body) => body.sequence,
  linkOf: (body) => body.previous,
  follows: mayTrust,
};

/**
 * Returns whether a record in `law`'s stream belongs to another log. A record that claims no type, or one of another
 * stream, is for this log to refuse.
 */
export function isOfOtherLog<Body>(law: LogLaw<Body>, bytes: Uint8Array): boolean {
  if (law.stream !== "activations") return false;
  const claimed = claimedType(bytes);
  const plan = claimed === rolloutLaw.type;
  return law.type === rolloutLaw.type ? !plan : plan;
}

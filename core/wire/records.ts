/**
 * The signed records of the logs: model -> deterministic protobuf -> JWS, and back. Reading verifies
 * first and parses after (I3), refuses what this version does not know (I6), and bounds every field (I8).
 *
 * A record fits one NATS message (1 MiB). A revision whose encoded change list is larger than
 * `changesBytesMax` is signed with an empty one: a reader applies the changes to the parent's list, sees
 * that the result is not the snapshot that the revision names, and fetches the whole list instead. So an
 * empty change list is a hint that costs a fetch, never a claim that nothing changed.
 */

import {
  Activation as ActivationMessage,
  Freshness as FreshnessMessage,
  Revision as RevisionMessage,
  Trust as TrustMessage,
} from "../../proto/gen/ashlar/v1/records.js";
import { digestFromBytes } from "../digest.js";
import { AshlarError } from "../errors.js";
import { parseSpiffeId } from "../identity.js";
import type { Activation, Freshness, Revision, Signed, Trust, UnitChange } from "../model.js";
import { type IsNamed, type KeySet, keyIdOf, publicKeyFromBytes, type Signer } from "../signature.js";
import { revocationsMax } from "../trust.js";
import { ascending, boundedList, boundedText, integer, link, messageBytesMax, unitName } from "./bounds.js";
import {
  digestToBuffer,
  optionalDigest,
  payloadBytesMax,
  type RecordCodec,
  signWith,
  verifyWith,
} from "./record-codec.js";
import { encodeStageOfRollout, parseStageOfRollout } from "./rollouts.js";
import { encodeShadowOrder, parseShadowOrder } from "./shadows.js";
import { decodeStrict, reading } from "./strict.js";
import {
  parseBundle,
  parseEgresses,
  parseIssuers,
  parseJournalHolder,
  parseSerial,
  parseSigningKey,
} from "./trust-fields.js";

/** A revision's change list is left out above this many encoded bytes. */
export const changesBytesMax = 512 * 1024;

const changesCountMax = 100_000;
const signingKeysCountMax = 256;
const bundlesCountMax = 256;

// === Revision ===

function encodeRevision(revision: Revision, changes: readonly UnitChange[]): Uint8Array {
  return RevisionMessage.encode({
    number: revision.number,
    parent: digestToBuffer(revision.parent),
    snapshot: digestToBuffer(revision.snapshot),
    changes: changes.map((change) => ({ name: change.name, digest: digestToBuffer(change.digest) })),
    author: revision.author,
    message: revision.message,
    timeMs: revision.timeMs,
  }).finish();
}

const revisionCodec: RecordCodec<Revision> = {
  type: "ashlar-revision",
  encode: (revision) => {
    const full = encodeRevision(revision, revision.changes);
    const bare = encodeRevision(revision, []);
    return full.length - bare.length > changesBytesMax ? bare : full;
  },
  parse: (payload) => {
    const message = decodeStrict(RevisionMessage, payload, "ashlar-revision", payloadBytesMax);
    return reading("ashlar-revision", () => ({
      number: integer("number", message.number, 1),
      parent: digestFromBytes(message.parent),
      snapshot: digestFromBytes(message.snapshot),
      changes: ascending(
        "changes",
        boundedList("changes", message.changes, changesCountMax),
        (change) => change.name,
      ).map((change) => ({ name: unitName("changes.name", change.name), digest: optionalDigest(change.digest) })),
      author: parseSpiffeId(message.author),
      message: boundedText("message", message.message, messageBytesMax),
      timeMs: integer("time_ms", message.timeMs, 0),
    }));
  },
};

/** Signs a revision; its change list is left out if it is too large. Fails with `invalid_record` or `limit`. */
export function signRevision(revision: Revision, mesh: string, signer: Signer): Signed<Revision> {
  return signWith(revisionCodec, revision, mesh, signer);
}

/**
 * Verifies and then parses a revision. Fails with `invalid_record`, or with `unauthenticated` if the key is unknown.
 */
export function verifyRevision(bytes: Uint8Array, mesh: string, keys: KeySet, isNamed?: IsNamed): Signed<Revision> {
  return verifyWith(revisionCodec, bytes, mesh, keys, isNamed);
}

// === Activation ===

const activationCodec: RecordCodec<Activation> = {
  type: "ashlar-activation",
  encode: (activation) =>
    ActivationMessage.encode({
      epoch: activation.epoch,
      previous: digestToBuffer(activation.previous),
      revisionNumber: activation.revisionNumber,
      revisionDigest: digestToBuffer(activation.revisionDigest),
      author: activation.author,
      reason: activation.reason,
      rollbackOf: activation.rollbackOf ?? 0,
      timeMs: activation.timeMs,
      forced: activation.forced,
      thresholdPercent: activation.thresholdPercent,
      rollout: activation.rollout && encodeStageOfRollout(activation.rollout),
      shadow: activation.shadow && encodeShadowOrder(activation.shadow),
    }).finish(),
  parse: (payload) => {
    const message = decodeStrict(ActivationMessage, payload, "ashlar-activation", payloadBytesMax);
    return reading("ashlar-activation", () => ({
      epoch: integer("epoch", message.epoch, 1),
      previous: link("previous", message.epoch, optionalDigest(message.previous)),
      revisionNumber: integer("revision_number", message.revisionNumber, 1),
      revisionDigest: digestFromBytes(message.revisionDigest),
      author: parseSpiffeId(message.author),
      reason: boundedText("reason", message.reason, messageBytesMax),
      rollbackOf: message.rollbackOf === 0 ? undefined : message.rollbackOf,
      timeMs: integer("time_ms", message.timeMs, 0),
      forced: message.forced,
      thresholdPercent: integer("threshold_percent", message.thresholdPercent, 0, 100),
      rollout: message.rollout && parseStageOfRollout(message.rollout),
      ...(message.shadow && { shadow: parseShadowOrder(message.shadow) }),
    }));
  },
};

/** Signs an activation. Fails with `invalid_record`. */
export function signActivation(activation: Activation, mesh: string, signer: Signer): Signed<Activation> {
  return signWith(activationCodec, activation, mesh, signer);
}

/**
 * Verifies and then parses an activation. Fails with `invalid_record`, or with `unauthenticated` if the key is unknown.
 */
export function verifyActivation(bytes: Uint8Array, mesh: string, keys: KeySet, isNamed?: IsNamed): Signed<Activation> {
  return verifyWith(activationCodec, bytes, mesh, keys, isNamed);
}

// === Trust ===

const trustCodec: RecordCodec<Trust> = {
  type: "ashlar-trust",
  encode: (trust) =>
    TrustMessage.encode({
      sequence: trust.sequence,
      previous: digestToBuffer(trust.previous),
      bundles: trust.bundles.map((bundle) => ({
        trustDomain: bundle.trustDomain,
        x509Roots: bundle.x509Roots.map((root) => Buffer.from(root)),
      })),
      signingKeys: trust.signingKeys.map((key) => ({ ...key, publicKey: Buffer.from(key.publicKey) })),
      revocations: trust.revocations.map((revocation) => ({ ...revocation })),
      timeMs: trust.timeMs,
      issuers: trust.issuers.map((issuer) => ({ ...issuer })),
      egresses: trust.egresses.map((egress) => ({ ...egress, allowAddresses: [...egress.allowAddresses] })),
      journalHolder: trust.journalHolder && { ...trust.journalHolder },
    }).finish(),
  parse: (payload) => {
    const message = decodeStrict(TrustMessage, payload, "ashlar-trust", payloadBytesMax);
    return reading("ashlar-trust", () => {
      const bundles = boundedList("bundles", message.bundles, bundlesCountMax);
      const keys = boundedList("signing_keys", message.signingKeys, signingKeysCountMax);
      const revocations = boundedList("revocations", message.revocations, revocationsMax);
      return {
        sequence: integer("sequence", message.sequence, 1),
        previous: link("previous", message.sequence, optionalDigest(message.previous)),
        bundles: ascending("bundles", bundles, (bundle) => bundle.trustDomain).map(parseBundle),
        signingKeys: ascending("signing_keys", keys, (key) => key.kid).map(parseSigningKey),
        revocations: ascending("revocations", revocations, (revocation) => revocation.serial).map((revocation) => ({
          serial: parseSerial(revocation.serial),
          reason: boundedText("revocations.reason", revocation.reason, 256),
          timeMs: integer("revocations.time_ms", revocation.timeMs, 0),
        })),
        timeMs: integer("time_ms", message.timeMs, 0),
        issuers: parseIssuers(message.issuers),
        egresses: parseEgresses(message.egresses),
        ...(message.journalHolder && { journalHolder: parseJournalHolder(message.journalHolder) }),
      };
    });
  },
};

/** Signs a trust record; lists must be sorted. Fails with `invalid_record` or `limit`. */
export function signTrust(trust: Trust, mesh: string, signer: Signer): Signed<Trust> {
  return signWith(trustCodec, trust, mesh, signer);
}

/**
 * Verifies and then parses a trust record. Fails with `invalid_record`, or with `unauthenticated` if the key is
 * unknown.
 */
export function verifyTrust(bytes: Uint8Array, mesh: string, keys: KeySet): Signed<Trust> {
  return verifyWith(trustCodec, bytes, mesh, keys);
}

/** Returns the keys that a trust record lets sign revisions, activations and freshness statements. */
export function keySetOf(trust: Trust): KeySet {
  return new Map(trust.signingKeys.map((key) => [key.kid, publicKeyFromBytes(key.publicKey)]));
}

/** Returns the set with one pinned key (the root of the mesh, 32 bytes), which signs trust records. */
export function rootKeySet(publicKey: Uint8Array): KeySet {
  return new Map([[keyIdOf(publicKey), publicKeyFromBytes(publicKey)]]);
}

// === Freshness ===

const freshnessCodec: RecordCodec<Freshness> = {
  type: "ashlar-freshness",
  encode: (freshness) =>
    FreshnessMessage.encode({ ...freshness, activation: digestToBuffer(freshness.activation) }).finish(),
  parse: (payload) => {
    const message = decodeStrict(FreshnessMessage, payload, "ashlar-freshness", payloadBytesMax);
    return reading("ashlar-freshness", () => {
      const activation = optionalDigest(message.activation);
      if ((message.epoch === 0) !== (activation === undefined)) {
        throw new AshlarError("invalid_record", "epoch and activation disagree");
      }
      return {
        epoch: integer("epoch", message.epoch, 0),
        activation,
        trustSequence: integer("trust_sequence", message.trustSequence, 0),
        revisionNumber: integer("revision_number", message.revisionNumber, 0),
        issuedMs: integer("issued_ms", message.issuedMs, 0),
        expiresMs: integer("expires_ms", message.expiresMs, message.issuedMs),
      };
    });
  },
};

/** Signs a freshness statement. Fails with `invalid_record`. */
export function signFreshness(freshness: Freshness, mesh: string, signer: Signer): Signed<Freshness> {
  return signWith(freshnessCodec, freshness, mesh, signer);
}

/**
 * Verifies and then parses a freshness statement. Fails with `invalid_record`, or with `unauthenticated` if the key is
 * unknown.
 */
export function verifyFreshness(bytes: Uint8Array, mesh: string, keys: KeySet): Signed<Freshness> {
  return verifyWith(freshnessCodec, bytes, mesh, keys);
}

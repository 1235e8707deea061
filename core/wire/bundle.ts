/**
 * Bundles: the policy of a revision as one file. Reading verifies everything before any of it is used: the trust record
 * by the root key in the file, the revision by the trust record, the list and each unit by their digests.
 */
import { Bundle as BundleMessage } from "../../proto/gen/ashlar/v1/bundle.js";
import { type Digest, digestOf } from "../digest.js";
import { AshlarError, isAshlarError, messageOf } from "../errors.js";
import type { EncodedUnit, Revision, Signed, SnapshotList, Trust } from "../model.js";
import type { Snapshot } from "../snapshot/build.js";
import { boundedList } from "./bounds.js";
import { keySetOf, rootKeySet, verifyRevision, verifyTrust } from "./records.js";
import { decodeStrict } from "./strict.js";
import { parseSnapshotList, parseUnit } from "./units.js";

/** The most bytes of a bundle. */
export const bundleBytesMax = 8 * 1024 * 1024;

const format = "ashlar-bundle-1";
/** The first bytes of every bundle: the first field of its message. */
const prefix = Buffer.from([10, format.length, ...Buffer.from(format)]);
const unitsCountMax = 100_000;

/** The parts of a bundle. */
export interface BundleParts {
  readonly mesh: string;
  /** The mesh's root key, Ed25519, 32 bytes. */
  readonly rootPublicKey: Uint8Array;
  /** A trust record that contains the signing key of `revision`. */
  readonly trust: Signed<Trust>;
  readonly revision: Signed<Revision>;
  readonly snapshot: Snapshot;
}

/** A bundle whose parts were all verified. */
export interface Bundle {
  /** The mesh that the bundle names and is signed for. */
  readonly mesh: string;
  /** The SHA-256 of that mesh's root key. A reader compares it to be sure of the mesh. */
  readonly rootHash: Digest;
  readonly revision: Signed<Revision>;
  readonly snapshot: Snapshot;
}

/** Returns the bytes of the file, which are the same for the same parts. Fails with `limit` above 8 MiB. */
export function encodeBundle(parts: BundleParts): Uint8Array {
  const bytes = encode({ ...parts, trust: parts.trust.bytes, revision: parts.revision.bytes });
  if (bytes.length > bundleBytesMax) {
    throw new AshlarError("limit", `the bundle has ${bytes.length} bytes, at most ${bundleBytesMax} are allowed`);
  }
  return bytes;
}

interface EncodedParts {
  readonly mesh: string;
  readonly rootPublicKey: Uint8Array;
  readonly trust: Uint8Array;
  readonly revision: Uint8Array;
  readonly snapshot: Snapshot;
}

function encode({ mesh, rootPublicKey, trust, revision, snapshot }: EncodedParts): Uint8Array {
  return BundleMessage.encode({
    format,
    mesh,
    rootPublicKey: Buffer.from(rootPublicKey),
    trust: Buffer.from(trust),
    revision: Buffer.from(revision),
    list: Buffer.from(snapshot.list.bytes),
    units: snapshot.units.map(({ bytes }) => Buffer.from(bytes)),
  }).finish();
}

/**
 * Parses and verifies a bundle. Fails with `invalid_argument` if the bytes are no bundle, with `limit` if they are too
 * many, and with `invalid_record` if they were cut, altered, or written by a newer version.
 */
export function parseBundle(bytes: Uint8Array): Bundle {
  if (bytes.length > bundleBytesMax)
    throw new AshlarError("limit", `bundle: ${bytes.length} bytes, at most ${bundleBytesMax} are read`);
  if (!prefix.equals(bytes.subarray(0, prefix.length)))
    throw new AshlarError("invalid_argument", "bundle: not a file that `ashlar export --bundle` wrote");
  try {
    return parse(bytes);
  } catch (cause) {
    throw new AshlarError(isAshlarError(cause, "limit") ? "limit" : "invalid_record", `bundle: ${messageOf(cause)}`, {
      cause,
    });
  }
}

function parse(bytes: Uint8Array): Bundle {
  const message = decodeStrict(BundleMessage, bytes, "the file", bundleBytesMax);
  const { mesh, rootPublicKey, trust: trustBytes, revision: revisionBytes } = message;
  const trust = verifyTrust(trustBytes, mesh, rootKeySet(new Uint8Array(rootPublicKey)));
  const revision = verifyRevision(revisionBytes, mesh, keySetOf(trust.body));
  const list = parseSnapshotList(message.list, revision.body.snapshot);
  const snapshot = { list, units: parseUnits(list, boundedList("units", message.units, unitsCountMax)) };
  const again = encode({ mesh, rootPublicKey, trust: trustBytes, revision: revisionBytes, snapshot });
  if (Buffer.compare(again, bytes) !== 0) throw new AshlarError("invalid_record", "not in canonical form");
  return { mesh, rootHash: digestOf(rootPublicKey), revision, snapshot };
}

function parseUnits(list: SnapshotList, units: readonly Uint8Array[]): readonly EncodedUnit[] {
  if (units.length !== list.units.length) {
    throw new AshlarError("invalid_record", `it has ${units.length} units, its list names ${list.units.length}`);
  }
  return list.units.map((ref, index) => {
    const bytes = new Uint8Array(units[index] ?? []);
    return Object.freeze({ unit: parseUnit(bytes, ref), bytes, digest: ref.digest });
  });
}

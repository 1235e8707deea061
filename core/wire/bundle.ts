/**
 * Bundles: a revision's policy as one file. Reading checks everything before anything of it is used: the trust
 * record against the root key in the file, the revision against that, the list and each unit against their digests.
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

/** No bundle is larger. */
export const bundleBytesMax = 8 * 1024 * 1024;

const format = "ashlar-bundle-1";
/** How every bundle begins: the first field of its message, whole. */
const prefix = Buffer.from([10, format.length, ...Buffer.from(format)]);
const unitsCountMax = 100_000;

/** What a bundle is made of. */
export interface BundleParts {
  readonly mesh: string;
  /** The mesh's root key, Ed25519, 32 bytes. */
  readonly rootPublicKey: Uint8Array;
  /** A trust record that names the key of `revision`. */
  readonly trust: Signed<Trust>;
  readonly revision: Signed<Revision>;
  readonly snapshot: Snapshot;
}

/** A bundle whose every part holds. */
export interface Bundle {
  /** The mesh it says it comes from, and signed for. */
  readonly mesh: string;
  /** SHA-256 of that mesh's root key: who wants to be sure of the mesh compares it. */
  readonly rootHash: Digest;
  readonly revision: Signed<Revision>;
  readonly snapshot: Snapshot;
}

/** The file, the same bytes for the same parts. Fails with `limit` above 8 MiB. */
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
 * Reads a bundle. Fails with `invalid_argument` if it is no bundle, with `limit` if it is too large, and with
 * `invalid_record` if it was cut short, altered in any other byte, or written by a version that knows more.
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

/**
 * Prepares a revision for evaluation: the record, its list (the parent's list with the changes, or a fetched one), and
 * this proxy's units. Each part is checked by its digest before it is parsed (I3). All parts succeed or none (I6).
 */
import { type Digest, digestOf, zeroDigest } from "../../core/digest.js";
import { AshlarError, messageOf } from "../../core/errors.js";
import {
  meshUnitName,
  type PreparedRevision,
  type Revision,
  type Signed,
  type SnapshotList,
} from "../../core/model.js";
import { requireAssertions } from "../../core/policy/assertions.js";
import { compileUnit } from "../../core/policy/compile.js";
import { unitBytesMax } from "../../core/snapshot/grammar.js";
import { applyChanges, encodeSnapshotList, parseSnapshotList, parseUnit } from "../../core/wire/units.js";
import { findUnitDigest, type HeldRevision, type HeldUnit } from "./held-revision.js";

/** Reads the parts of a revision: from the logs, or from this proxy's disk. */
export interface RevisionReader {
  /** Returns the verified record with this digest. Fails with `unavailable`, `not_found`, or as verification does. */
  revision(ref: PreparedRevision): Promise<Signed<Revision>>;
  /**
   * Returns the bytes stored under this digest, at most `bytesMax`. They may be damaged. undefined: nobody has them.
   * Fails with `unavailable` or `limit`.
   */
  blob(digest: Digest, bytesMax: number): Promise<Uint8Array | undefined>;
}

export interface PrepareDeps {
  readonly reader: RevisionReader;
  readonly mesh: string;
  /** The services whose units are needed now. */
  readonly services: readonly string[];
  /** Services whose units are not required for the revision to be usable. */
  isOptional(service: string): boolean;
  findHeld(revision: Digest): HeldRevision | undefined;
  findUnit(digest: Digest): HeldUnit | undefined;
  /** Lets calls run between two steps. */
  yieldTurn(): Promise<void>;
}

/** A prepared revision, and the blobs that were fetched for it. */
export interface Prepared {
  readonly held: HeldRevision;
  readonly blobs: ReadonlyMap<Digest, Uint8Array>;
}

const listBytesMax = 8 * 1024 * 1024;
const emptyList = encodeSnapshotList([]);

/**
 * Prepares `ref`. Fails with `unavailable` or `not_found` if a part cannot be fetched now, else because the revision is
 * not acceptable.
 */
export async function prepareRevision(ref: PreparedRevision, deps: PrepareDeps): Promise<Prepared> {
  const revision = await deps.reader.revision(ref);
  if (revision.body.number !== ref.number)
    throw new AshlarError(
      "invalid_record",
      `its record says it is revision ${revision.body.number}, not ${ref.number}`,
    );
  const list = await findList(revision, deps);
  const blobs = new Map([[list.digest, list.bytes]]);
  const held: HeldRevision = { revision, list, units: new Map() };
  for (const service of new Set([meshUnitName, ...deps.services])) {
    await deps.yieldTurn();
    const digest = findUnitDigest(list, service);
    if (digest === undefined) continue;
    try {
      const { unit, bytes } = await prepareUnit(service, digest, deps);
      held.units.set(service, unit);
      if (bytes !== undefined) blobs.set(digest, bytes);
    } catch (error) {
      if (!deps.isOptional(service)) throw error;
    }
  }
  return { held, blobs };
}

/**
 * Compiles a unit after checking what is asserted of it. Returns it with its bytes if they had to be fetched. Fails as
 * `prepareRevision` does.
 */
export async function prepareUnit(
  name: string,
  digest: Digest,
  deps: Pick<PrepareDeps, "reader" | "mesh" | "findUnit">,
): Promise<{ readonly unit: HeldUnit; readonly bytes: Uint8Array | undefined }> {
  const known = deps.findUnit(digest);
  if (known?.compiled.name === name) return { unit: known, bytes: undefined };
  const bytes = await readBlob(deps.reader, digest, unitBytesMax, `unit ${name}`);
  return { unit: compileHeld(name, digest, bytes, deps.mesh), bytes };
}

/** Parses and compiles a unit and checks its assertions. Fails if the unit is not acceptable. */
export function compileHeld(name: string, digest: Digest, bytes: Uint8Array, mesh: string): HeldUnit {
  const parsed = parseUnit(bytes, { name, digest });
  const compiled = compileUnit(parsed, mesh);
  requireAssertions(parsed, compiled, mesh); // the writer has checked the assertions, but a reader trusts no writer
  return { digest, bytes, compiled };
}

async function findList(revision: Signed<Revision>, deps: PrepareDeps): Promise<SnapshotList> {
  const { parent, snapshot, changes } = revision.body;
  const base = parent === zeroDigest ? emptyList : deps.findHeld(parent)?.list;
  if (base?.digest === snapshot) return base;
  if (base !== undefined && changes.length > 0) {
    const list = tryChanges(base, revision.body);
    if (list?.digest === snapshot) return list;
  }
  const own = deps.findHeld(revision.digest)?.list;
  if (own?.digest === snapshot) return own;
  const bytes = await readBlob(deps.reader, snapshot, listBytesMax, "snapshot list");
  return parseSnapshotList(bytes, snapshot);
}

/**
 * Reads a blob. Fails with `unauthenticated` if the bytes do not have the expected digest, because another source may
 * have the right ones.
 */
async function readBlob(reader: RevisionReader, digest: Digest, bytesMax: number, what: string): Promise<Uint8Array> {
  const bytes = await reader.blob(digest, bytesMax);
  if (bytes === undefined) throw new AshlarError("not_found", `${what}: nobody has ${digest}`);
  if (digestOf(bytes) !== digest)
    throw new AshlarError("unauthenticated", `${what}: the bytes do not have the digest ${digest}`);
  return bytes;
}

function tryChanges(base: SnapshotList, revision: Revision): SnapshotList | undefined {
  try {
    return applyChanges(base, revision.changes);
  } catch {
    return undefined; // the list itself is checked
  }
}

/**
 * Returns what a failure means: content could not be read, its bytes do not verify (another source may have others), or
 * the revision is not acceptable.
 */
export function judgeFailure(error: unknown): {
  readonly kind: "unavailable" | "damaged" | "unacceptable";
  readonly reason: string;
} {
  const reason = messageOf(error).slice(0, 1000);
  if (!(error instanceof AshlarError)) return { kind: "unavailable", reason };
  switch (error.code) {
    case "invalid_record":
    case "invalid_policy":
    case "invalid_identity":
    case "limit":
    case "not_supported":
      return { kind: "unacceptable", reason };
    case "unauthenticated":
      return { kind: "damaged", reason };
    default:
      return { kind: "unavailable", reason };
  }
}

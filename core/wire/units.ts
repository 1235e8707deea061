/**
 * Encodes units and snapshot lists to deterministic bytes, and decodes them. Bytes are checked by digest before they
 * are parsed (I3).
 */

import { SnapshotList as SnapshotListMessage } from "../../proto/gen/ashlar/v1/records.js";
import { type Digest, digestFromBytes, digestOf, digestToBytes } from "../digest.js";
import { AshlarError, messageOf } from "../errors.js";
import { isWorkload } from "../identity.js";
import { compareNames } from "../kinds/compare-names.js";
import { PolicyFault, renderFault } from "../kinds/fault.js";
import { canonicalUnit, decodeUnit, encodeCanonical } from "../kinds/unit.js";
import {
  type EncodedUnit,
  meshUnitName,
  type SnapshotList,
  type Unit,
  type UnitChange,
  type UnitRef,
} from "../model.js";
import { unitBytesMax } from "../snapshot/grammar.js";
import { boundFields, decodeStrict, reading } from "./strict.js";

const listBytesMax = 8 * 1024 * 1024;

/**
 * Returns the unit in canonical form with its bytes and digest, which do not depend on the order of its input. Fails
 * with `invalid_policy` on a unit that `parseUnit` would refuse, and with `limit` above 512 KiB.
 */
export function encodeUnit(unit: Unit): EncodedUnit {
  const canonical = canonicalUnit(unit);
  const bytes = encodeCanonical(canonical);
  if (bytes.length > unitBytesMax) {
    throw new AshlarError(
      "limit",
      `service ${unit.name}: its policy takes ${bytes.length} bytes, at most ${unitBytesMax}`,
    );
  }
  return Object.freeze({ unit: canonical, bytes, digest: digestOf(bytes) });
}

/**
 * Parses the unit that `expected` names. Fails with `invalid_record` if the bytes have another digest, are about
 * another service, contain anything that this version does not know, or are not in canonical form.
 */
export function parseUnit(bytes: Uint8Array, expected: UnitRef): Unit {
  const what = `unit ${expected.name}`;
  requireDigest(bytes, expected.digest, what, unitBytesMax);
  boundFields(bytes, what);
  return reading(what, () => {
    const decoded = decode(bytes, what);
    if (decoded.name !== expected.name)
      throw new AshlarError("invalid_record", `${what}: it is about ${JSON.stringify(decoded.name.slice(0, 64))}`);
    const unit = canonicalUnit(decoded);
    if (!equalBytes(encodeCanonical(unit), bytes))
      throw new AshlarError("invalid_record", `${what}: not in canonical form (sorted, each thing once)`);
    return unit;
  });
}

function decode(bytes: Uint8Array, what: string): Unit {
  try {
    return decodeUnit(bytes);
  } catch (cause) {
    const why = cause instanceof PolicyFault ? renderFault(cause) : `does not parse: ${messageOf(cause)}`;
    throw new AshlarError("invalid_record", `${what}: ${why}`, { cause });
  }
}

/**
 * Returns the list with its bytes and digest, sorted by name. Fails with `invalid_policy` on an invalid or repeated
 * name.
 */
export function encodeSnapshotList(refs: readonly UnitRef[]): SnapshotList {
  const units = refs.map((ref): UnitRef => Object.freeze({ name: ref.name, digest: ref.digest }));
  units.sort((a, b) => compareNames(a.name, b.name));
  for (const [index, { name }] of units.entries()) {
    if (name !== meshUnitName && !isWorkload(name))
      throw new AshlarError("invalid_policy", `snapshot: not the name of a unit: ${JSON.stringify(name.slice(0, 64))}`);
    if (name === units[index - 1]?.name)
      throw new AshlarError("invalid_policy", `snapshot: the unit ${name} is there twice`);
  }
  const bytes = SnapshotListMessage.encode({
    units: units.map(({ name, digest }) => ({ name, digest: Buffer.from(digestToBytes(digest)) })),
  }).finish();
  if (bytes.length > listBytesMax)
    throw new AshlarError("limit", `snapshot: its list takes ${bytes.length} bytes, at most ${listBytesMax}`);
  return Object.freeze({ units: Object.freeze(units), digest: digestOf(bytes), bytes });
}

/** Parses the list with this digest. Fails with `invalid_record` as `parseUnit` does. */
export function parseSnapshotList(bytes: Uint8Array, digest: Digest): SnapshotList {
  const what = "snapshot list";
  requireDigest(bytes, digest, what, listBytesMax);
  const message = decodeStrict(SnapshotListMessage, bytes, what, listBytesMax);
  return reading(what, () => {
    const list = encodeSnapshotList(
      message.units.map((ref) => ({ name: ref.name, digest: digestFromBytes(ref.digest) })),
    );
    if (list.digest !== digest)
      throw new AshlarError("invalid_record", `${what}: not in canonical form (sorted by name)`);
    return list;
  });
}

/**
 * Returns the list after `changes`. Fails with `invalid_record` if one unit changes twice or a missing one is removed.
 */
export function applyChanges(list: SnapshotList, changes: readonly UnitChange[]): SnapshotList {
  const units = new Map(list.units.map((ref) => [ref.name, ref.digest]));
  const seen = new Set<string>();
  for (const { name, digest } of changes) {
    if (seen.has(name)) throw new AshlarError("invalid_record", `changes: the unit ${name} is there twice`);
    seen.add(name);
    if (digest !== undefined) units.set(name, digest);
    else if (!units.delete(name))
      throw new AshlarError("invalid_record", `changes: the unit ${name} goes but was not there`);
  }
  return encodeSnapshotList([...units].map(([name, digest]) => ({ name, digest })));
}

/** Returns the changes that turn list `a` into `b`, sorted by name. */
export function changesBetween(a: SnapshotList, b: SnapshotList): UnitChange[] {
  const before = new Map(a.units.map((ref) => [ref.name, ref.digest]));
  const changes: UnitChange[] = [];
  for (const { name, digest } of b.units) {
    if (before.get(name) !== digest) changes.push({ name, digest });
    before.delete(name);
  }
  for (const name of before.keys()) changes.push({ name, digest: undefined });
  return changes.sort((left, right) => compareNames(left.name, right.name));
}

function requireDigest(bytes: Uint8Array, digest: Digest, what: string, bytesMax: number): void {
  if (bytes.length > bytesMax)
    throw new AshlarError("limit", `${what}: ${bytes.length} bytes, at most ${bytesMax} are read`);
  if (digestOf(bytes) !== digest)
    throw new AshlarError("invalid_record", `${what}: the bytes do not have the digest ${digest}`);
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

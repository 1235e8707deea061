/**
 * Checks that the files of a data folder belong together. A missing key is never created beside the files of an
 * existing mesh.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { AshlarError } from "../../core/errors.js";

/** Files that a control plane writes only after it has keys. Each shows that the folder belonged to a mesh. */
const traces = [
  "identity/tokens.json",
  "identity/issued.jsonl",
  "identity/members.json",
  "ledger",
  "audit",
  "nats",
  "ports.json",
  "roster.json",
  "admin.json",
] as const;

const remedy = "put it back from a backup (docs/recovery.md), or begin anew with another --data";

/**
 * Fails with `invalid_record` if keys are missing in `dir` that were there before; the message names them, the files
 * that were found, and what to do. An interrupted start or join is no such case. Returns the missing files that are not
 * needed, for people.
 */
export function checkWholeFolder(dir: string): readonly string[] {
  const has = (name: string): boolean => existsSync(join(dir, name));
  const found = traces.filter((name) => (name.includes(".") ? has(name) : isFilled(join(dir, name))));
  const joined = has("identity/membership.json") && !has("identity/joining.json");
  if (!has("identity/authority.json") && (found.length > 0 || joined)) {
    const beside = [...found, ...(joined ? ["identity/membership.json"] : [])].join(", ");
    throw missing(dir, "identity/authority.json", `beside ${beside}: it holds the keys of the mesh that was here`);
  }
  if (has("identity/authority.json") && isFilled(join(dir, "nats/jetstream")) && !has("nats/keys.json"))
    throw missing(
      dir,
      "nats/keys.json",
      "beside nats/jetstream: it holds the keys of the account that owns those streams and that proxies connect with",
    );
  const lost = has("ports.json") && !has("identity/issued.jsonl");
  return lost ? [`${join(dir, "identity/issued.jsonl")} was lost: ${issuedLost}`] : [];
}

/**
 * Returns true if a control plane has served in `dir`, also where a backup has brought only `dir`/identity back: proxies
 * may then hold trust records, and a first one that is signed anew would be a second one of that number. The list of
 * certificates is made after the first trust record. It may be empty: the backup can be from before the first proxy, and
 * a start forgets what expired a week ago, also one that fails before it serves.
 */
export function hasServed(dir: string): boolean {
  return existsSync(join(dir, "ports.json")) || existsSync(join(dir, "identity/issued.jsonl"));
}

const issuedLost =
  "`ashlar revoke` of a proxy does not find certificates that were issued before this start until the proxy renews (an hour)";

/** Fails with `invalid_record` if a control plane that joined a mesh (it has no root key) lost its place there. */
export function checkPlaceThere(dir: string, holdsRoot: boolean, hasPlace: boolean): void {
  if (holdsRoot || hasPlace) return;
  throw missing(dir, "identity/membership.json", "beside identity/authority.json, which is of one that joined a mesh");
}

function missing(dir: string, name: string, beside: string): AshlarError {
  return new AshlarError("invalid_record", `${join(dir, name)} is missing ${beside}: ${remedy}`);
}

function isFilled(folder: string): boolean {
  try {
    return readdirSync(folder).length > 0;
  } catch {
    return false;
  }
}

/**
 * The records that this process verified last: where it runs the proxies of several services, each of them gets the same
 * record, and one verification serves them all. A record counts again only under the same key, as the same type and for
 * the same mesh, so it is never believed by a reader that does not trust the key itself (I3).
 */
import type { KeyObject } from "node:crypto";
import { BoundedMap } from "../bounded-map.js";
import type { Digest } from "../digest.js";
import type { Signed } from "../model.js";
import type { KeySet } from "../signature.js";

/** What a record was verified as. */
export interface VerifiedAs {
  /** The codec that parsed it; codecs are compared by identity. */
  readonly codec: object;
  readonly mesh: string;
}

interface Known extends VerifiedAs {
  readonly key: KeyObject;
  readonly record: Signed<unknown>;
}

const recordsMax = 32;
/** A larger record is not remembered: 32 of this size are 1 MiB. */
const recordBytesMax = 32 * 1024;

export class VerifiedRecords {
  readonly #known = new BoundedMap<Digest, Known>(recordsMax);

  /** The record with this digest, if it was verified as the same with a key that `keys` has under its id. */
  find(digest: Digest, { codec, mesh }: VerifiedAs, keys: KeySet): Signed<unknown> | undefined {
    const known = this.#known.get(digest);
    if (known === undefined || known.codec !== codec || known.mesh !== mesh) return undefined;
    const key = keys.get(known.record.kid);
    return key !== undefined && (key === known.key || key.equals(known.key)) ? known.record : undefined;
  }

  /** Remembers a record whose signature held under `key`. */
  add(record: Signed<unknown>, { codec, mesh }: VerifiedAs, key: KeyObject): void {
    if (record.bytes.length <= recordBytesMax) this.#known.set(record.digest, { codec, mesh, key, record });
  }
}

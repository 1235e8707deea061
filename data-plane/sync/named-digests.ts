/** Keeps the digests that verified records name. A named record is as authentic as the record that names it. Pure. */
import { BoundedMap } from "../../core/bounded-map.js";
import type { Digest } from "../../core/digest.js";
import type { Signed } from "../../core/model.js";
import type { KeySet } from "../../core/signature.js";

const namedMax = 16_384;

export class NamedDigests {
  /** The record that last named each digest. */
  readonly #namers = new BoundedMap<Digest, Pick<Signed<unknown>, "digest" | "kid">>(namedMax);

  has(digest: Digest): boolean {
    return this.#namers.has(digest);
  }

  /** Notes that the verified record `by` names `digests`. */
  add({ digest, kid }: Signed<unknown>, digests: readonly (Digest | undefined)[]): void {
    for (const named of digests) if (named !== undefined) this.#namers.set(named, { digest, kid });
  }

  /**
   * Forgets digests that no record signed by these keys leads to: the holder of a dropped key may have named anything.
   */
  keepUnder(keys: KeySet): void {
    const holds = new Map<Digest, boolean>();
    for (const digest of this.#namers.keys()) {
      const path: Digest[] = [];
      let answer: boolean | undefined;
      for (let at = digest; answer === undefined; ) {
        path.push(at);
        const namer = this.#namers.get(at);
        answer = namer === undefined ? false : keys.has(namer.kid) || holds.get(namer.digest);
        at = namer?.digest ?? at;
      }
      for (const one of path) holds.set(one, answer);
    }
    for (const [digest, kept] of holds) if (!kept) this.#namers.delete(digest);
  }
}

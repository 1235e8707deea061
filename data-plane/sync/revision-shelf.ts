/** Holds the prepared revisions and the verified records, and gets further ones. */
import { BoundedMap } from "../../core/bounded-map.js";
import type { Digest } from "../../core/digest.js";
import { AshlarError } from "../../core/errors.js";
import type { Activation, PreparedRevision, Revision, Signed } from "../../core/model.js";
import { revisionFor } from "../../core/rollout/cohort.js";
import type { HeldRevision, HeldUnit } from "./held-revision.js";
import { type PrepareDeps, type Prepared, prepareRevision, prepareUnit, type RevisionReader } from "./prepare.js";
import type { RecordJudge } from "./record-judge.js";
import type { RevisionSource } from "./revision-source.js";
import type { RevisionSpread } from "./revision-spread.js";

export interface RevisionShelfDeps {
  readonly source: RevisionSource;
  readonly judge: RecordJudge;
  /** Passes revisions to worker processes. undefined: this process alone judges calls. */
  readonly spread: RevisionSpread | undefined;
  /** Returns the services whose units are needed now. */
  services(): readonly string[];
  /** Called when a record was signed by an unknown key. */
  unknownKey(): void;
}

const recordsMax = 64;

export class RevisionShelf {
  readonly #deps: RevisionShelfDeps;
  readonly #mesh: string;
  readonly #held = new Map<Digest, HeldRevision>();
  readonly #records = new BoundedMap<Digest, Signed<Revision>>(recordsMax);

  constructor(deps: RevisionShelfDeps, mesh: string) {
    this.#deps = deps;
    this.#mesh = mesh;
  }

  find(revision: Digest): HeldRevision | undefined {
    return this.#held.get(revision);
  }

  /** Returns the revision that this proxy evaluates under an activation. */
  findFor(activation: Activation, proxyId: string): HeldRevision | undefined {
    return this.#held.get(revisionFor(activation, proxyId).digest);
  }

  all(): Iterable<HeldRevision> {
    return this.#held.values();
  }

  hold(held: HeldRevision): void {
    this.#held.set(held.revision.digest, held);
  }

  drop(revision: Digest): void {
    this.#held.delete(revision);
    this.#deps.spread?.dropped(revision);
  }

  /** Keeps a verified record for preparing its revision. The last 64 are kept. */
  keepRecord(record: Signed<Revision>): void {
    this.#records.set(record.digest, record);
  }

  /**
   * Fetches, verifies and compiles a revision, here and in the workers. It is not held yet. Fails as `prepareRevision`
   * does.
   */
  async prepare(ref: PreparedRevision): Promise<Prepared> {
    const prepared = await prepareRevision(ref, this.#prepareDeps());
    await this.#deps.spread?.prepare(prepared.held);
    return prepared;
  }

  /** Adds a unit to a held revision. */
  addUnit({ units, revision }: HeldRevision, name: string, unit: HeldUnit): void {
    units.set(name, unit);
    this.#deps.spread?.added(revision.digest, name, unit);
  }

  /** Returns a compiled unit. Fails as `prepareUnit` does. */
  prepareUnit(
    name: string,
    digest: Digest,
  ): Promise<{ readonly unit: HeldUnit; readonly bytes: Uint8Array | undefined }> {
    return prepareUnit(name, digest, this.#prepareDeps());
  }

  #prepareDeps(): PrepareDeps {
    return {
      reader: this.#reader(),
      mesh: this.#mesh,
      services: this.#deps.services(),
      isOptional: () => false,
      findHeld: (digest) => this.#held.get(digest),
      findUnit: (digest) => findUnit(this.#held.values(), digest),
      yieldTurn,
    };
  }

  #reader(): RevisionReader {
    const { source, judge, unknownKey } = this.#deps;
    return {
      blob: (digest, bytesMax) => source.readBlob(digest, bytesMax),
      revision: async ({ number, digest }) => {
        const known = this.#records.get(digest) ?? this.#held.get(digest)?.revision;
        if (known !== undefined) return known;
        for (const bytes of await source.readAt("revisions", number)) {
          const event = judge.judge("revisions", bytes);
          if (event === "unknown-key") unknownKey();
          else if (event?.kind === "revision") this.keepRecord(event.record);
        }
        const record = this.#records.get(digest);
        if (record === undefined) throw new AshlarError("not_found", `the log has no valid record ${digest}`);
        return record;
      },
    };
  }
}

/** Returns the unit with this digest if a held revision has it, so that an unchanged unit is compiled only once. */
export function findUnit(held: Iterable<Pick<HeldRevision, "units">>, digest: Digest): HeldUnit | undefined {
  for (const { units } of held) for (const unit of units.values()) if (unit.digest === digest) return unit;
  return undefined;
}

/** Lets all other work that waits for the event loop run first. */
export function yieldTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/**
 * A miniature control plane for tests of the data plane. It signs records and appends them to real or in-memory
 * streams.
 */

import { createHash } from "node:crypto";
import { unitWith } from "../../core/kinds/unit.js";
import type {
  Activation,
  EncodedUnit,
  Freshness,
  Revision,
  Signed,
  SnapshotList,
  Trust,
  Unit,
} from "../../core/model.js";
import { parentAfter } from "../../core/revision.js";
import { signActivation, signFreshness, signRevision, signTrust } from "../../core/wire/records.js";
import {
  blobChunkBytesMax,
  blobChunksHeader,
  blobSubject,
  freshnessSubject,
  ingestSubject,
  type LogName,
  prepareOrderSubject,
} from "../../core/wire/subjects.js";
import { changesBetween, encodeSnapshotList, encodeUnit } from "../../core/wire/units.js";
import type { Bus } from "../../runtime/bus.js";
import { buildTrust, createTestKey, type TestKey, testAuthor, testMesh } from "./records.js";

export interface TestRevision {
  readonly record: Signed<Revision>;
  readonly list: SnapshotList;
  readonly units: readonly EncodedUnit[];
}

/** Returns a unit in which each of `callers` may call every method. */
export function unitFor(service: string, callers: readonly string[]): Unit {
  return unitWith(service, {
    service: { kind: "Service", name: service, methods: [] },
    authorizations: [
      {
        kind: "Authorization",
        name: `${service}-callers`,
        service,
        allow: callers.length > 0 ? [{ from: [...callers].sort(), methods: ["*"] }] : [],
        deny: [],
      },
    ],
  });
}

export class MeshSigner {
  readonly root: TestKey = createTestKey();
  key: TestKey = createTestKey();
  readonly mesh: string;
  trust: Signed<Trust>;
  revisions: TestRevision[] = [];
  activations: Signed<Activation>[] = [];

  constructor(mesh = testMesh) {
    this.mesh = mesh;
    this.trust = signTrust(buildTrust([this.key]), mesh, this.root.signer);
  }

  /** Signs the next trust record. `keys` sign from then on. */
  nextTrust(keys: readonly TestKey[], revoked: readonly string[] = []): Signed<Trust> {
    const revocations = revoked.map((serial) => ({ serial, reason: "lost", timeMs: 1 }));
    this.trust = signTrust({ ...buildTrust(keys, this.trust), revocations }, this.mesh, this.root.signer);
    return this.trust;
  }

  revision(units: readonly Unit[]): TestRevision {
    const encoded = units.map(encodeUnit);
    const list = encodeSnapshotList(encoded.map(({ unit, digest }) => ({ name: unit.name, digest })));
    const head = this.revisions[this.revisions.length - 1];
    const body: Revision = {
      number: (head?.record.body.number ?? 0) + 1,
      parent: parentAfter(head?.record),
      snapshot: list.digest,
      changes: changesBetween(head?.list ?? encodeSnapshotList([]), list),
      author: testAuthor,
      message: "test",
      timeMs: Date.now(),
    };
    const made = { record: signRevision(body, this.mesh, this.key.signer), list, units: encoded };
    this.revisions.push(made);
    return made;
  }

  /** Signs the next activation. With `fork` it does not become this signer's head. */
  activation(
    revision: TestRevision,
    fork?: { readonly reason: string; readonly previous?: Signed<Activation> },
  ): Signed<Activation> {
    const head = fork?.previous ?? this.activations[this.activations.length - 1];
    const record = signActivation(
      {
        epoch: (head?.body.epoch ?? 0) + 1,
        previous: head?.digest,
        revisionNumber: revision.record.body.number,
        revisionDigest: revision.record.digest,
        author: testAuthor,
        reason: fork?.reason ?? "test",
        rollbackOf: undefined,
        timeMs: Date.now(),
        forced: false,
        thresholdPercent: 0,
        rollout: undefined,
      },
      this.mesh,
      this.key.signer,
    );
    if (fork === undefined) this.activations.push(record);
    return record;
  }

  freshness(parts: Partial<Freshness> = {}): Signed<Freshness> {
    const head = this.activations[this.activations.length - 1];
    const issuedMs = Date.now();
    return signFreshness(
      {
        epoch: head?.body.epoch ?? 0,
        activation: head?.digest,
        trustSequence: this.trust.body.sequence,
        revisionNumber: this.revisions.length,
        issuedMs,
        expiresMs: issuedMs + 15_000,
        ...parts,
      },
      this.mesh,
      this.key.signer,
    );
  }
}

/** Appends records the way a control plane does. */
export class TestPublisher {
  readonly #bus: Bus;
  readonly #stored = new Set<string>();

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  append(log: LogName, key: number, bytes: Uint8Array): Promise<number> {
    return this.#bus.append(ingestSubject(log, key), bytes);
  }

  trust(record: Signed<Trust>): Promise<number> {
    return this.append("trust", record.body.sequence, record.bytes);
  }

  async publish(revision: TestRevision): Promise<void> {
    for (const { bytes } of [...revision.units, revision.list]) await this.blob(bytes);
    await this.append("revisions", revision.record.body.number, revision.record.bytes);
  }

  activate(record: Signed<Activation>): Promise<number> {
    return this.append("activations", record.body.epoch, record.bytes);
  }

  freshness(record: Signed<Freshness>): boolean {
    return this.#bus.publish(freshnessSubject, record.bytes);
  }

  prepareOrder(bytes: Uint8Array): boolean {
    return this.#bus.publish(prepareOrderSubject, bytes);
  }

  /** Stores `bytes` under their digest, or under another `digest`. */
  async blob(bytes: Uint8Array, digest = createHash("sha256").update(bytes).digest("hex")): Promise<void> {
    if (this.#stored.has(digest)) return;
    this.#stored.add(digest);
    const count = Math.max(1, Math.ceil(bytes.length / blobChunkBytesMax));
    for (let chunk = 0; chunk < count; chunk += 1) {
      const part = bytes.subarray(chunk * blobChunkBytesMax, (chunk + 1) * blobChunkBytesMax);
      await this.#bus.append(blobSubject(digest, chunk), part, { headers: { [blobChunksHeader]: String(count) } });
    }
  }
}

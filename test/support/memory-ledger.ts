/** The ledger in memory, with the same laws and nothing durable. */

import { IndexedLog } from "../../control-plane/store/indexed-log.js";
import type { Ledger, RecordLog } from "../../control-plane/store/ledger.js";
import { LogIndex } from "../../control-plane/store/log-index.js";
import type { LogKeys } from "../../control-plane/store/log-keys.js";
import {
  activationLaw,
  isOfOtherLog,
  type LogLaw,
  revisionLaw,
  rolloutLaw,
  trustLaw,
} from "../../control-plane/store/log-laws.js";
import { type Digest, digestOf } from "../../core/digest.js";
import { AshlarError } from "../../core/errors.js";
import type { Signed } from "../../core/model.js";
import { revisionsOf } from "../../core/rollout/cohort.js";
import { keySetOf, rootKeySet } from "../../core/wire/records.js";
import type { LogName } from "../../core/wire/subjects.js";

/** The store that several memory ledgers share, as several control planes share NATS. */
export interface MemoryStore {
  readonly logs: Readonly<Record<LogName, Uint8Array[]>>;
  readonly blobs: Map<Digest, Uint8Array>;
  readonly listeners: Set<(log: LogName, bytes: Uint8Array) => void>;
}

export function createMemoryStore(): MemoryStore {
  return { logs: { revisions: [], activations: [], trust: [] }, blobs: new Map(), listeners: new Set() };
}

class MemoryLog<Body> extends IndexedLog<Body> implements RecordLog<Body> {
  readonly #store: MemoryStore;

  constructor(store: MemoryStore, law: LogLaw<Body>, mesh: string) {
    super(law, new LogIndex(law, mesh), (error) => {
      throw error;
    });
    this.#store = store;
  }

  async recover(records: readonly Uint8Array[], pastGaps: boolean): Promise<number> {
    const { stream } = this.law;
    const adopted = await this.takeBack(records);
    if (pastGaps) adopted.push(...this.index.beginAhead());
    for (const { bytes } of adopted) {
      this.#store.logs[stream].push(bytes.slice());
      for (const listener of [...this.#store.listeners]) listener(stream, bytes);
    }
    this.tell(adopted);
    return adopted.length;
  }

  problems(): readonly string[] {
    return this.index.problems();
  }

  useKeys(keys: LogKeys): void {
    this.tell(this.index.useKeys(keys));
  }

  endorse(digest: Digest): void {
    this.tell(this.index.endorse(digest));
  }

  take(bytes: Uint8Array): void {
    if (isOfOtherLog(this.law, bytes)) return;
    const offered = this.index.offer(bytes);
    if (offered.kind === "adopted") this.tell(offered.records);
  }

  async append(next: Signed<Body>): Promise<void> {
    const { name, stream, follows, keyOf } = this.law;
    if (!follows(this.head(), next.body)) {
      throw new AshlarError("conflict", `${name}: somebody else was first: not the place for ${keyOf(next.body)}`);
    }
    if (this.index.preview(next.bytes) === undefined) {
      throw new AshlarError("denied", `${name}: signed by a key that this mesh does not trust now`);
    }
    this.#store.logs[stream].push(next.bytes.slice());
    for (const listener of [...this.#store.listeners]) listener(stream, next.bytes);
  }
}

/** Opens a ledger over `store`, which other ledgers may share. */
export function openMemoryLedger(options: {
  readonly mesh: string;
  readonly trustRoot: Uint8Array;
  readonly store?: MemoryStore;
}): Ledger {
  const { mesh, trustRoot, store = createMemoryStore() } = options;
  const trust = new MemoryLog(store, trustLaw, mesh);
  const revisions = new MemoryLog(store, revisionLaw, mesh);
  const rollouts = new MemoryLog(store, rolloutLaw, mesh);
  const activations = new MemoryLog(store, activationLaw, mesh);
  const take = (name: LogName, bytes: Uint8Array): void => {
    if (name === "activations") rollouts.take(bytes);
    logs[name].take(bytes);
  };
  const logs = { trust, revisions, activations };
  trust.onRecord(({ body }) => {
    const former = new Map(trust.list().flatMap((record) => [...keySetOf(record.body)]));
    revisions.useKeys({ current: keySetOf(body), former });
    rollouts.useKeys({ current: keySetOf(body), former });
    activations.useKeys({ current: keySetOf(body), former });
  });
  activations.onRecord(({ body }) => {
    for (const { digest } of revisionsOf(body)) revisions.endorse(digest);
    if (body.rollout !== undefined) rollouts.endorse(body.rollout.digest);
  });
  trust.useKeys({ current: rootKeySet(trustRoot), former: new Map() });
  for (const name of ["trust", "revisions", "activations"] as const) {
    for (const bytes of store.logs[name]) take(name, bytes);
  }
  store.listeners.add(take);
  return {
    revisions,
    activations,
    rollouts,
    trust,
    blobs: {
      async put(bytes) {
        const digest = digestOf(bytes);
        store.blobs.set(digest, bytes.slice());
        return digest;
      },
      has: (digest) => store.blobs.has(digest),
      async get(digest) {
        return store.blobs.get(digest)?.slice();
      },
    },
    problems: () => [trust, revisions, rollouts, activations].flatMap((log) => log.problems()),
    async close() {
      store.listeners.delete(take);
    },
  };
}

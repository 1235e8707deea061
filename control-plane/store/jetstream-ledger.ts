/** The ledger on NATS JetStream, with this control plane's own fsynced copy beside it. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { AshlarError, messageOf } from "../../core/errors.js";
import { revisionsOf } from "../../core/rollout/cohort.js";
import { keySetOf, rootKeySet } from "../../core/wire/records.js";
import { blobStream } from "../../core/wire/subjects.js";
import type { Bus } from "../../runtime/bus.js";
import { type Clock, systemClock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import { openBlobFolder } from "./file-copy.js";
import { JetStreamBlobs } from "./jetstream-blobs.js";
import { JetStreamLog } from "./jetstream-log.js";
import type { JetStreamLogDeps } from "./jetstream-log-deps.js";
import type { Ledger } from "./ledger.js";
import type { LogKeys } from "./log-keys.js";
import { activationLaw, revisionLaw, rolloutLaw, trustLaw } from "./log-laws.js";

export interface LedgerOptions {
  /** The connection with the everyday credential. The streams exist already (`bootstrapStreams`). */
  readonly bus: Bus;
  /** The folder of the own copy, which is created if it is missing. Only one control plane at a time may use it. */
  readonly dir: string;
  readonly mesh: string;
  /** The Ed25519 public key of the mesh's root, 32 bytes, which verifies trust records. */
  readonly trustRoot: Uint8Array;
  readonly log: Logger;
  readonly clock?: Clock;
  /** Creates streams again that were lost while the control plane runs. Without it the loss is only reported. */
  readonly recreateStreams?: () => Promise<void>;
  /** Aborts the wait for NATS. */
  readonly signal?: AbortSignal;
}

const healMs = 30_000;

/**
 * Opens the ledger: waits for NATS, takes the longer one of the stream and the own copy of each log, and appends byte
 * for byte what a stream lacks. Fails with `unavailable` if NATS cannot be read.
 */
export async function openLedger(options: LedgerOptions): Promise<Ledger> {
  const { bus, dir, mesh, log, clock = systemClock, recreateStreams } = options;
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await bus.whenConnected(options.signal);
  const deps: JetStreamLogDeps = { bus, dir, mesh, clock, log, recreateStreams };
  const blobs = new JetStreamBlobs(bus, await openBlobFolder(join(dir, "blobs")));
  const trust = await JetStreamLog.open(deps, trustLaw);
  const revisions = await JetStreamLog.open(deps, revisionLaw);
  const rollouts = await JetStreamLog.open(deps, rolloutLaw);
  const activations = await JetStreamLog.open(deps, activationLaw);
  const logs = [trust, revisions, rollouts, activations];

  const useTrust = (): void => {
    const former = new Map(trust.list().flatMap((record) => [...keySetOf(record.body)]));
    const head = trust.head();
    const keys: LogKeys = { current: head === undefined ? new Map() : keySetOf(head.body), former };
    revisions.useKeys(keys);
    rollouts.useKeys(keys);
    activations.useKeys(keys);
  };
  trust.useKeys({ current: rootKeySet(options.trustRoot), former: new Map() });
  useTrust();
  trust.onRecord(useTrust);
  activations.onRecord(({ body }) => {
    for (const { digest } of revisionsOf(body)) revisions.endorse(digest);
    if (body.rollout !== undefined) rollouts.endorse(body.rollout.digest);
  });
  const stop = new AbortController();
  const close = async (): Promise<void> => {
    stop.abort();
    await Promise.all(logs.map((item) => item.close()));
  };
  let blobTrouble: string | undefined;
  try {
    for (const item of logs) await item.sync();
    const healed = await blobs.heal();
    if (healed > 0) log.warn("the stream lacked blobs: restored them from this control plane's copy", { healed });
  } catch (cause) {
    await close();
    throw cause instanceof AshlarError ? cause : new AshlarError("unavailable", messageOf(cause), { cause });
  }
  for (const item of logs) item.follow();
  const healing = keepBlobs({ bus, blobs, clock, log, signal: stop.signal }, (trouble) => {
    blobTrouble = trouble;
  });
  return {
    revisions,
    activations,
    rollouts,
    trust,
    blobs,
    problems: () => [...logs.flatMap((item) => item.problems()), ...(blobTrouble === undefined ? [] : [blobTrouble])],
    async close() {
      await close();
      await healing;
    },
  };
}

interface KeepDeps {
  readonly bus: Bus;
  readonly blobs: JetStreamBlobs;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Checks at intervals whether the stream of blobs is still the same, and fills a new one from the own copy. */
async function keepBlobs(deps: KeepDeps, tell: (trouble: string | undefined) => void): Promise<void> {
  const { bus, blobs, clock, log, signal } = deps;
  let created: string | undefined;
  while (!signal.aborted) {
    try {
      const info = bus.connected ? await bus.streamInfo(blobStream) : undefined;
      if (info !== undefined) {
        if (created !== undefined && info.created !== created) {
          log.error("the stream of blobs was replaced: restored its blobs", { stored: await blobs.heal() });
        }
        created = info.created;
        tell(undefined);
      } else if (bus.connected) tell(`stream ${blobStream} is gone`);
    } catch (error) {
      tell(`blobs: ${messageOf(error)}`);
    }
    await clock.sleep(healMs, signal);
  }
}

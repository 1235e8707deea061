/**
 * Removes the beginning of a journal, the only way in which a journal gets shorter. The journal is closed for a moment,
 * the heads of its order keys are written into it, all replicas receive them, and only then the beginning is removed.
 */
import { AshlarError, messageOf } from "../../core/errors.js";
import type { Signer } from "../../core/signature.js";
import { bucketOf, everyBucket, headsMax, type JournalLetGo, signLetGo } from "../../core/wire/journal/let-go.js";
import type { JournalSeal } from "../../core/wire/journal/seal.js";
import { journalPrefix, journalStream, journalSubject } from "../../core/wire/subjects.js";
import type { Bus, StreamInfo, StreamSpec } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import { letGoPermissions } from "../../runtime/nats-permissions.js";
import type { OperatorCaller } from "../activate/operator-caller.js";
import { type AuditTrail, audited } from "../audit/audit-trail.js";
import type { NatsAccess } from "../nats/nats-access.js";
import type { JournalReader, ReadJournal } from "./journal-reader.js";
import type { JournalSealer } from "./journal-sealer.js";

export interface JournalRetainerDeps {
  readonly mesh: string;
  readonly access: Pick<NatsAccess, "bus" | "once">;
  readonly journalReader: Pick<JournalReader, "read">;
  readonly journalSealer: Pick<JournalSealer, "sealBefore">;
  readonly signer: Signer;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface RetainOptions {
  readonly service: string;
  /** Nothing above this sequence, and nothing stored after `untilMs`, is removed; 0: only the other bound applies. */
  readonly through: number;
  readonly untilMs: number;
  readonly reason: string;
  /** Only report what would be removed. */
  readonly dryRun: boolean;
}

export interface LetGoPlan {
  readonly through: number;
  /** The number of entries that are removed. */
  readonly entries: number;
  /** Why less is removed than was asked for; empty: it is not less. */
  readonly why: string;
}

/**
 * Message ids are remembered for the stream's window, and by servers a little longer. The messages that they point to
 * must stay: a repeat that found nothing there would be another write.
 */
const windowsKept = 2;
/** The most milliseconds by which the clocks of the mesh may differ (decision 0032). */
const marginMs = 5 * 60_000;
/** The milliseconds after its last messages from which on no proxy closes a stream any more. */
const openStreamMs = 24 * 3_600_000;
/** The milliseconds to wait for replicas while the journal is closed. */
const closedMsMax = 15_000;
const lookMs = 50;

/**
 * Removes the beginning of a journal. Fails with `not_found`, with `stale` if there is nothing to remove, and with
 * `unavailable`; the journal is then unchanged.
 */
export function retainJournal(
  deps: JournalRetainerDeps,
  options: RetainOptions,
  caller: OperatorCaller,
  signal: AbortSignal,
): Promise<LetGoPlan> {
  const { service, reason } = options;
  if (options.dryRun) return plan(deps, options, signal).then(({ plan }) => plan);
  if (reason.trim() === "") throw new AshlarError("invalid_argument", "reason: say why");
  const target = `${service} through ${options.through || new Date(options.untilMs).toISOString()}`;
  return audited(deps.audit, { action: "retain", target, caller, detail: reason }, async () => {
    const planned = await plan(deps, options, signal);
    await letGo(deps, options, caller, planned, signal);
    return planned.plan;
  });
}

interface Planned {
  readonly plan: LetGoPlan;
  readonly seal: Pick<JournalSeal, "through" | "chain">;
  readonly heads: ReadonlyMap<string, number>;
  readonly info: StreamInfo;
}

async function plan(deps: JournalRetainerDeps, options: RetainOptions, signal: AbortSignal): Promise<Planned> {
  const { service } = options;
  const info = await deps.access.bus.streamInfo(journalStream(service));
  if (info === undefined) throw new AshlarError("not_found", `service ${service} has no journal`);
  const journal = await deps.journalReader.read(service, signal);
  const bounded = bound(journal, options, info, deps.clock.nowMs());
  let { why } = bounded;
  let seal = await deps.journalSealer.sealBefore(service, bounded.through);
  // a seal may end within a streamed request, which is removed completely or not at all
  for (let split = seal && splitBy(journal, seal.through); split !== undefined; ) {
    why = split.why;
    seal = await deps.journalSealer.sealBefore(service, split.before);
    split = seal && splitBy(journal, seal.through);
  }
  const from = journal.letGoThrough;
  if (seal === undefined || seal.through <= from) {
    const isYoung = options.untilMs !== 0 && bounded.through <= from;
    const young = `nothing in it was stored before ${new Date(options.untilMs).toISOString()}`;
    const because = why || (isYoung ? young : "no seal covers it yet");
    throw new AshlarError("stale", `nothing of the journal of ${service} can be let go: ${because}`);
  }
  const gone = journal.entries.filter(({ judged }) => judged.sequence <= seal.through);
  const heads = new Map(journal.letGoHeads);
  for (const { judged } of gone) if (judged.isOrdered && judged.isValid) heads.set(judged.key, judged.sequence);
  return { plan: { through: seal.through, entries: gone.length, why }, seal, heads, info };
}

/**
 * Returns how far the journal may be removed: less than asked for where a write is unsettled, or where a message id is
 * still remembered.
 */
function bound(
  { entries, lastSequence, unclosed }: ReadJournal,
  { through, untilMs }: RetainOptions,
  { spec }: StreamInfo,
  nowMs: number,
): { readonly through: number; readonly why: string } {
  const keptMs = windowsKept * (spec.duplicateWindowMs ?? 120_000) + marginMs;
  const youngMs = nowMs - keptMs;
  let [most, why] = [through === 0 ? lastSequence : through, ""];
  const lower = (to: number, because: string): void => {
    if (to < most) [most, why] = [to, because];
  };
  for (const { judged, storedMs, keptSinceMs } of entries) {
    const { sequence, isValid, settledBy } = judged;
    if (sequence > most) break;
    if (untilMs !== 0 && storedMs > untilMs) lower(sequence - 1, "");
    if (keptSinceMs > youngMs)
      lower(sequence - 1, `what was stored in the last ${Math.ceil(keptMs / 60_000)} minutes stays`);
    if (isValid && settledBy === 0) lower(sequence - 1, `entry ${sequence} has no outcome: resolve it first`);
  }
  for (const { first, storedMs } of unclosed)
    if (storedMs > nowMs - openStreamMs)
      lower(first - 1, `the stream that begins at sequence ${first} may be closed yet`);
  return { through: most, why };
}

/** Returns a streamed request of which a part would be removed and a part stay, or undefined. */
function splitBy(
  { entries }: ReadJournal,
  through: number,
): { readonly before: number; readonly why: string } | undefined {
  for (const { entry, judged } of entries) {
    const { firstMessages: first } = entry;
    if (judged.sequence > through && first !== 0 && first <= through)
      return { before: first - 1, why: `the messages of entry ${judged.sequence} begin at sequence ${first}` };
  }
  return undefined;
}

async function letGo(
  deps: JournalRetainerDeps,
  { service, reason }: RetainOptions,
  caller: OperatorCaller,
  { seal, heads, info }: Planned,
  signal: AbortSignal,
): Promise<void> {
  const { access, log } = deps;
  const { through, chain } = seal;
  const about = { service, through, chain, operator: caller.id, reason, timeMs: deps.clock.nowMs() };
  const records = recordsOf(about, heads).map((body) => signLetGo(body, deps.mesh, deps.signer));
  const permissions = (inbox: string) => letGoPermissions(service, inbox);
  await access.once(permissions, signal, async (bus) => {
    try {
      await bus.updateStream(closedSpec(info.spec));
      for (const { body, bytes } of records) await bus.append(journalSubject(service, "letgo", body.bucket), bytes);
      const now = await whenEverywhere(bus, service, deps.clock, signal);
      if (isOpen(now.spec))
        throw new AshlarError(
          "unavailable",
          `somebody else changed stream ${now.spec.name} at the same moment: nothing was let go; run it again`,
        );
      await bus.updateStream({ ...closedSpec(info.spec), discard: "old", maxMessages: now.lastSequence - through });
    } finally {
      await reopen(bus, info.spec);
    }
    const after = await bus.streamInfo(journalStream(service));
    if (after === undefined || after.firstSequence !== through + 1)
      throw new AshlarError(
        "internal",
        `the journal of ${service} begins at ${after?.firstSequence}, not at ${through + 1}`,
      );
  });
  log.info("the beginning of a journal was let go", { service, through, heads: heads.size });
}

/**
 * Returns the records with the heads, one for each bucket, and then the record that summarizes them. Fails with
 * `limit`.
 */
function recordsOf(
  about: Omit<JournalLetGo, "bucket" | "heads" | "buckets">,
  heads: ReadonlyMap<string, number>,
): readonly JournalLetGo[] {
  const buckets = new Map<string, Map<string, number>>();
  for (const [key, sequence] of heads) {
    const bucket = buckets.get(bucketOf(key)) ?? new Map<string, number>();
    if (bucket.set(key, sequence).size > headsMax)
      throw new AshlarError(
        "limit",
        `more than ${headsMax} order keys begin with ${bucketOf(key)}: they cannot be carried over`,
      );
    buckets.set(bucketOf(key), bucket);
  }
  const each = [...buckets].map(([bucket, of]) => ({ ...about, bucket, heads: of, buckets: [] }));
  return [...each, { ...about, bucket: everyBucket, heads: new Map(), buckets: [...buckets.keys()].sort() }];
}

/**
 * Returns the configuration of the closed journal: only records of the removal can be appended; writes wait or are
 * answered 14.
 */
export function closedSpec(spec: StreamSpec): StreamSpec {
  return { ...spec, subjects: [journalSubject(spec.name.slice(journalStream("").length), "letgo", "*")] };
}

const openSpec = (spec: StreamSpec): StreamSpec => ({
  ...spec,
  subjects: [`${journalPrefix(spec.name.slice(journalStream("").length))}.>`],
  discard: "new",
});

/** Returns whether a journal takes writes: nobody lets its beginning go at the moment. */
export function isOpen(spec: StreamSpec): boolean {
  return spec.discard === "new" && String(spec.subjects) === String(openSpec(spec).subjects);
}

export async function reopen(bus: Pick<Bus, "updateStream">, spec: StreamSpec): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      return await bus.updateStream(openSpec(spec));
    } catch (error) {
      if (tries >= 3)
        throw new AshlarError(
          "unavailable",
          `stream ${spec.name} could not be opened again (${messageOf(error)}): its writes are answered 14 until a control plane has`,
        );
    }
  }
}

/** Resolves when every replica has what is stored. Fails with `unavailable`. */
async function whenEverywhere(bus: Bus, service: string, clock: Clock, signal: AbortSignal): Promise<StreamInfo> {
  const untilMs = clock.monotonicMs() + closedMsMax;
  for (;;) {
    const info = await bus.streamInfo(journalStream(service));
    if (info !== undefined && info.lagging === 0) return info;
    if (clock.monotonicMs() >= untilMs || signal.aborted)
      throw new AshlarError(
        "unavailable",
        `${info?.lagging} replicas of the journal of ${service} are behind: nothing was let go`,
      );
    await clock.sleep(lookMs, signal);
  }
}

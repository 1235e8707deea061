/** The admin API's method that sends a journal's history to an operator who replays it. */
import { AshlarError, isAshlarError } from "../../core/errors.js";
import { buildSpiffeId } from "../../core/identity.js";
import type { Endpoint } from "../../core/model.js";
import { digestToBuffer } from "../../core/wire/record-codec.js";
import { refuseUnknownFields } from "../../core/wire/strict.js";
import { journalStream } from "../../core/wire/subjects.js";
import type {
  AdminServiceService,
  ReplayedWrite,
  ReplayJournalRequest,
  ReplayJournalResponse,
  ReplaySummary,
} from "../../proto/gen/ashlar/v1/admin.js";
import type { StoredQuery } from "../../runtime/bus.js";
import { type Implementation, serverStreaming } from "../../runtime/grpc-handlers.js";
import { requestOf } from "../../runtime/streamed-request.js";
import type { OperatorCaller } from "../activate/operator-caller.js";
import { authorize, type OperatedDeps } from "../admin/operated.js";
import { audited } from "../audit/audit-trail.js";
import { extentOf, type HistoryCounts, type HistoryDeps, type HistoryPart, JournalHistory } from "./journal-history.js";
import { findTargets, type ReplayTargetDeps, refuseOwn } from "./replay-target.js";
import { type PrivateParts, sealedPartsOf } from "./sealed-parts.js";

export interface ReplayMethodsDeps extends OperatedDeps, Omit<HistoryDeps, "ledger">, ReplayTargetDeps {
  readonly ledger: HistoryDeps["ledger"] & ReplayTargetDeps["ledger"];
}

type ReplayMethods = Pick<Implementation<typeof AdminServiceService>, "replayJournal">;
type Message = NonNullable<ReplayJournalResponse["message"]>;

const unresolvedNamedMax = 1000;
/**
 * While following: the milliseconds between checks that the version still takes no live calls, and of where its proxies
 * are.
 */
const lookEveryMs = 1000;
/**
 * The milliseconds after which something is sent: a command that hears nothing for a minute takes the control plane for
 * down.
 */
const tellEveryMs = 10_000;

export function replayMethods(deps: ReplayMethodsDeps): ReplayMethods {
  return {
    replayJournal: serverStreaming(async function* (request, context) {
      const caller = await authorize(deps, context);
      refuseUnknownFields(request, "the request");
      for await (const message of replay(deps, request, caller, context.signal)) yield { message };
    }),
  };
}

async function* replay(
  deps: ReplayMethodsDeps,
  request: ReplayJournalRequest,
  caller: OperatorCaller,
  signal: AbortSignal,
): AsyncGenerator<Message> {
  const { service, from, to, afterPosition, follow } = request;
  if (follow && (to !== 0 || request.dryRun))
    throw new AshlarError(
      "invalid_argument",
      "what is followed has no last entry, and is sent: leave --to and --dry-run out",
    );
  const { targets: found, extent } = await begin(deps, request, caller);
  let targets = found;
  const start = (): Message => ({
    $case: "start",
    value: {
      first: extent.first,
      last: extent.last,
      targets: targets.map(({ proxyId, address }) => ({ proxyId, address })),
      identity: buildSpiffeId(deps.mesh, "service", service),
    },
  });
  yield start();
  const history = new JournalHistory(deps, { service, from, to, follows: follow }, extent);
  const counts = { applied: 0, notApplied: 0 };
  let lookedMs = deps.clock.monotonicMs();
  let [level, toldMs] = [-1, 0];
  const get = (query: StoredQuery) => deps.bus.leaderGet(journalStream(service), query);
  const reads = { get, clock: deps.clock, random: Math.random };
  for await (const part of history.read(signal)) {
    if (follow && deps.clock.monotonicMs() - lookedMs >= lookEveryMs) {
      lookedMs = deps.clock.monotonicMs();
      const now = await targetsNow(deps, request, caller, targets);
      const isOther = renderTargets(now) !== renderTargets(targets);
      targets = now;
      if (isOther) yield start();
    }
    if (part.kind === "read") {
      yield { $case: "position", value: part.position };
      continue;
    }
    if (part.kind === "level") {
      const isQuiet = deps.clock.monotonicMs() - toldMs >= tellEveryMs;
      if (part.position === level && !isQuiet) continue;
      level = part.position;
      toldMs = deps.clock.monotonicMs();
      yield { $case: "level", value: level };
      continue;
    }
    const write = writeOf(part);
    if (write === undefined) {
      counts.notApplied += 1;
      continue;
    }
    counts.applied += 1;
    if (part.position <= afterPosition) continue;
    refuseOwn(targets, part.entry.entry.proxyId, write.sequence);
    const framed = await requestOf(reads, part.entry.entry, signal);
    const parts = await sealedPartsOf(deps.bus, service, partsOf(part));
    yield { $case: "write", value: { ...write, request: Buffer.from(framed), parts } };
  }
  yield { $case: "summary", value: summaryOf(history.counts, counts) };
}

/**
 * Returns the version's present proxies, or the earlier ones while none is healthy. Fails with `denied` and
 * `invalid_argument` if policy has changed meanwhile, for example if the version now takes live calls.
 */
async function targetsNow(
  deps: ReplayMethodsDeps,
  request: ReplayJournalRequest,
  caller: OperatorCaller,
  before: readonly Endpoint[],
): Promise<readonly Endpoint[]> {
  try {
    return await findTargets(deps, request, caller);
  } catch (error) {
    if (isAshlarError(error, "not_found")) return before;
    throw error;
  }
}

const renderTargets = (targets: readonly Endpoint[]): string =>
  targets.map(({ proxyId, address }) => `${proxyId} ${address}`).join();

/** Checks who replays what to whom, and records it. */
function begin(deps: ReplayMethodsDeps, request: ReplayJournalRequest, caller: OperatorCaller) {
  const { service, version, address, from, to, dryRun, follow } = request;
  const target = version === "" ? address : `version ${version}`;
  const range = `entries ${from === 0 ? "from the first" : from} to ${to === 0 ? "the last" : to}`;
  const detail = dryRun ? `${range}, without sending` : follow ? `${range}, and what follows` : range;
  return audited(deps.audit, { action: "replay", target: `${service} to ${target}`, caller, detail }, async () => {
    const targets = await findTargets(deps, request, caller);
    return { targets, extent: await extentOf(deps, service) };
  });
}

type Settled = Extract<HistoryPart, { kind: "settled" }>;

/** Returns everything of a write but its request; undefined: the application never applied it. */
function writeOf({
  position,
  entry: { sequence, entry },
  by,
}: Settled): Omit<ReplayedWrite, "_unknownFields" | "request" | "parts"> | undefined {
  const { caller, method, key, order } = entry;
  const about = {
    ...{ sequence, position, caller, method, key, order },
    fields: entry.fields.map(({ name, value }) => ({ name, value: Buffer.from(value) })),
  };
  const none = { response: Buffer.alloc(0), responseKept: false, responseDigest: Buffer.alloc(0) };
  if (by.kind === "resolution") {
    const { outcome, code } = by.resolution;
    return outcome === "applied" ? { ...about, ...none, code, resolved: true } : undefined;
  }
  const outcome = by.kind === "outcome" ? by.outcome : entry.outcome;
  if (outcome === undefined || outcome.notForwarded) return undefined;
  const { code, response, responseDigest } = outcome;
  return {
    ...about,
    code,
    response: Buffer.from(response ?? []),
    responseKept: response !== undefined,
    responseDigest: digestToBuffer(responseDigest),
    resolved: false,
  };
}

function partsOf({ entry: { entry }, by }: Settled): PrivateParts {
  const outcome = by.kind === "outcome" ? by.outcome : entry.outcome;
  return { nonce: entry.nonce, request: entry.private, response: outcome?.private };
}

function summaryOf(
  { entries, void: lost, unresolved, refused }: HistoryCounts,
  { applied, notApplied }: { readonly applied: number; readonly notApplied: number },
): Omit<ReplaySummary, "_unknownFields"> {
  const unresolvedEntries = unresolved.slice(0, unresolvedNamedMax);
  return { entries, applied, void: lost, notApplied, unresolved: unresolved.length, unresolvedEntries, refused };
}

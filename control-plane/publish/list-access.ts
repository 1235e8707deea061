/** Lists who may call a method: now, under a given revision, or under the revision that was active at a given time. */

import { AshlarError } from "../../core/errors.js";
import { calleeOf } from "../../core/kinds/callee.js";
import type { Activation, Revision, Signed, Unit } from "../../core/model.js";
import { headerRewrites } from "../../core/policy/rewrites.js";
import { epochThatRuns, revisionInForce } from "../../core/rollout/cohort.js";
import { renderNearest } from "../../core/snapshot/nearest.js";
import { type CallerAccess, whoCan } from "../../core/snapshot/who-can.js";
import { type RolloutBeside, rolloutBeside } from "../rollout/rollout-course.js";
import { findRevision } from "../store/find-revision.js";
import type { Ledger } from "../store/ledger.js";
import type { SnapshotStore } from "./snapshot-store.js";

export interface AccessQuery {
  readonly service: string;
  /** "package.Service/Method". */
  readonly method: string;
  /** The revision; 0: the active one, or the one that was active at `atMs`. */
  readonly revision: number;
  /** A time in Unix milliseconds; 0: now. */
  readonly atMs: number;
}

export interface AccessAnswer {
  /** The revision that answered; 0 if no revision was active. */
  readonly revision: number;
  /** The epoch that runs the revision, or ran it at that time; 0: none. */
  readonly epoch: number;
  /** Callers that may call come first. Empty if nobody may call. */
  readonly callers: readonly CallerAccess[];
  /**
   * One sentence if nobody may call, if the method does not exist, or if calls with some headers are judged
   * differently; otherwise "".
   */
  readonly reason: string;
  /** The rollout that runs, or ran then; the answer is that of its base. */
  readonly rollout: RolloutBeside | undefined;
}

const movedMax = 5;

export interface AccessListDeps {
  readonly mesh: string;
  readonly ledger: Pick<Ledger, "revisions" | "activations">;
  readonly snapshots: Pick<SnapshotStore, "load">;
}

/**
 * Answers an `AccessQuery`. Fails with `invalid_argument` if it names two revisions, and with `not_found` for one that
 * was never published.
 */
export async function listAccess(deps: AccessListDeps, query: AccessQuery): Promise<AccessAnswer> {
  const { mesh, ledger, snapshots } = deps;
  if (query.revision !== 0 && query.atMs !== 0)
    throw new AshlarError("invalid_argument", "revision and at_ms: give one of them");
  const asked = query.revision === 0 ? findActiveAt(ledger, query.atMs) : findPublished(ledger, query.revision);
  if ("reason" in asked) return { revision: 0, epoch: 0, callers: [], reason: asked.reason, rollout: undefined };
  const about = { revision: asked.revision.body.number, epoch: asked.epoch, rollout: asked.rollout };
  const units = (await snapshots.load(asked.revision.body.snapshot)).units.map(({ unit }) => unit);
  const method = query.method.replace(/^\//, "");
  const callers = whoCan(units, query.service, method, mesh);
  if (callers !== undefined) {
    const reasons = [whyUnstated(units, query.service, method), whyMoved(units, query.service, method)];
    return { ...about, callers, reason: reasons.filter((reason) => reason !== "").join("; ") };
  }
  const nearest = renderNearest(
    query.service,
    units.filter((unit) => calleeOf(unit) !== undefined).map(({ name }) => name),
  );
  const reason = `revision ${about.revision} has no service ${JSON.stringify(query.service.slice(0, 64))}, so nobody may call it${nearest}`;
  return { ...about, callers: [], reason };
}

/**
 * Returns a remark if the service does not state the method: a misspelt method would otherwise look like one that
 * nobody may call.
 */
function whyUnstated(units: readonly Unit[], service: string, method: string): string {
  const unit = units.find(({ name }) => name === service);
  const stated = (unit && calleeOf(unit)?.methods) ?? [];
  if (stated.length === 0 || stated.includes(method)) return "";
  const named = JSON.stringify(method.slice(0, 128));
  return `${service} states its methods, and ${named} is none of them${renderNearest(method, stated)}`;
}

/**
 * Returns a remark if calls with certain headers are judged under another name: the list is for calls without headers.
 */
function whyMoved(units: readonly Unit[], service: string, method: string): string {
  const unit = units.find(({ name }) => name === service);
  const moved = unit === undefined ? [] : headerRewrites(unit, method);
  const texts = moved.map(({ rule, headers, after }) => `${rule} (${headers.join(", ")}) as ${after}`);
  if (texts.length === 0) return "";
  const more = texts.length > movedMax ? ` and ${texts.length - movedMax} rules more` : "";
  return `calls with the headers that a rule asks for go on under another name, which is judged: ${texts.slice(0, movedMax).join(", ")}${more}; \`ashlar can … --header\` says who may make them`;
}

interface Asked {
  readonly revision: Signed<Revision>;
  /** The epoch of the revision; 0 if no epoch has it. */
  readonly epoch: number;
  readonly rollout: RolloutBeside | undefined;
}

function findPublished(ledger: AccessListDeps["ledger"], number: number): Asked {
  const revision = findRevision(ledger, number);
  const head = ledger.activations.head();
  return { revision, epoch: epochThatRuns(head?.body, revision.digest), rollout: rolloutBeside(head) };
}

function findActiveAt(ledger: AccessListDeps["ledger"], atMs: number): Asked | { readonly reason: string } {
  const { activations } = ledger;
  const activation = atMs === 0 ? activations.head() : lastUntil(activations.list(), atMs);
  if (activation !== undefined) {
    const { number } = revisionInForce(activation.body);
    const { epoch } = activation.body;
    return { revision: findRevision(ledger, number), epoch, rollout: rolloutBeside(activation) };
  }
  const [first] = activations.list();
  if (first === undefined) return { reason: "no revision is active yet, so nobody may call anything" };
  const [asked, began] = [atMs, first.body.timeMs].map((timeMs) => new Date(timeMs).toISOString());
  return {
    reason: `nothing was active at ${asked}, before the first activation at ${began}: nobody could call anything`,
  };
}

/**
 * Returns the last activation until a time. The order of the log decides, because the clocks of its writers may differ
 * a little.
 */
function lastUntil(activations: readonly Signed<Activation>[], atMs: number): Signed<Activation> | undefined {
  return activations.findLast(({ body }) => body.timeMs <= atMs);
}

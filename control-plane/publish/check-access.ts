/** Answers whether a caller may call a method, by which rule of which revision, and which rate limits apply. */

import { callerId, isLabel, isWorkload, type SpiffeId } from "../../core/identity.js";
import { isDirectRead } from "../../core/journal/direct-reads.js";
import { calleeOf } from "../../core/kinds/callee.js";
import { renderRate } from "../../core/kinds/rate-limit/limit-grammar.js";
import type { RateLimit } from "../../core/kinds/rate-limit/rate-limit.js";
import { costOf, isAbout } from "../../core/limit/limiter.js";
import type { Revision, Signed, Unit } from "../../core/model.js";
import { compileUnit } from "../../core/policy/compile.js";
import type { CallInputs } from "../../core/policy/condition/frame.js";
import { epochThatRuns, revisionInForce } from "../../core/rollout/cohort.js";
import { renderNearest } from "../../core/snapshot/nearest.js";
import { type RolloutBeside, rolloutBeside } from "../rollout/rollout-course.js";
import { findRevision } from "../store/find-revision.js";
import type { Ledger } from "../store/ledger.js";
import type { SnapshotStore } from "./snapshot-store.js";

export interface CheckAccessDeps {
  readonly mesh: string;
  readonly ledger: Pick<Ledger, "revisions" | "activations">;
  readonly snapshots: Pick<SnapshotStore, "loadUnit" | "loadList">;
}

export interface AccessQuestion {
  readonly caller: string;
  readonly service: string;
  readonly method: string;
  /** If it is undefined, only conditions on the caller and the method are evaluated. */
  readonly inputs: CallInputs | undefined;
}

/** A rate limit that a call is subject to. */
export interface LimitMet {
  readonly name: string;
  /** The limit as it is written in policy files. */
  readonly rate: string;
  readonly burst: number;
  /** The tokens that the call takes. */
  readonly cost: number;
  readonly per: readonly string[];
  readonly scope: "proxy" | "mesh";
}

export interface AccessVerdict {
  readonly allowed: boolean;
  readonly rule: string;
  readonly reason: string;
  /** The method that its destination judges, which a route may have changed; "": none was judged. */
  readonly judgedMethod: string;
  /** The revision that answered; 0: nothing is active. */
  readonly revision: number;
  /** 0 if no proxy evaluates the revision. */
  readonly epoch: number;
  /** The rate limits of an allowed call; empty for a denied one. */
  readonly limits: readonly LimitMet[];
  /** Whether applications of the caller may make the call without their own proxy. */
  readonly direct: boolean;
  readonly rollout: RolloutBeside | undefined;
}

/**
 * Answers by the revision with this number; 0: the active one, which is the base of a running rollout: the answer then
 * also states what its candidate would say. Fails with `not_found`.
 */
export async function checkAccess(
  deps: CheckAccessDeps,
  asked: AccessQuestion,
  number: number,
): Promise<AccessVerdict> {
  const { ledger } = deps;
  const head = ledger.activations.head();
  const active = head && ledger.revisions.find(revisionInForce(head.body).number);
  const rollout = rolloutBeside(head);
  const verdict = await judge(deps, asked, number === 0 ? active : findRevision(ledger, number));
  if (number !== 0 || rollout === undefined) return { ...verdict, rollout };
  const { allowed, rule } = await judge(deps, asked, findRevision(ledger, rollout.candidate));
  const other = `rollout ${rollout.number} runs: under revision ${rollout.candidate} it is ${allowed ? "allowed" : "denied"} by ${rule}`;
  return { ...verdict, rollout, reason: verdict.reason === "" ? other : `${verdict.reason}; ${other}` };
}

async function judge(
  { ledger, snapshots, mesh }: CheckAccessDeps,
  asked: AccessQuestion,
  revision: Signed<Revision> | undefined,
): Promise<Omit<AccessVerdict, "rollout">> {
  const head = ledger.activations.head();
  const about = {
    revision: revision?.body.number ?? 0,
    epoch: revision === undefined ? 0 : epochThatRuns(head?.body, revision.digest),
    limits: [],
    direct: false,
    judgedMethod: "",
  };
  const deny = (reason: string) => ({ ...about, allowed: false, rule: "default-deny", reason });
  if (revision === undefined) return deny("no revision is active yet, so everything is denied");
  const caller = parseCaller(asked.caller, mesh);
  if (caller === undefined) return deny(`${quote(asked.caller)} is neither a service's name nor a SPIFFE ID`);
  const unit = isLabel(asked.service) ? await snapshots.loadUnit(revision.body.snapshot, asked.service) : undefined;
  const workloads = (await snapshots.loadList(revision.body.snapshot)).units.map(({ name }) => name).filter(isWorkload);
  const services = workloads.filter(isLabel);
  if (unit === undefined) {
    const nearest = renderNearest(asked.service, services);
    return deny(`revision ${about.revision} has no service ${quote(asked.service)}${nearest}`);
  }
  const compiled = compileUnit(unit, mesh);
  const { inputs } = asked;
  const called = asked.method.replace(/^\//, "");
  const route = compiled.hasRewrites ? compiled.findRoute(called, (name) => inputs?.header(name), caller) : undefined;
  const method = route?.rewrite ?? called;
  const moved = method === called ? "" : `route ${route?.name} sends it on as ${method}`;
  const { allow, rule, reason } =
    inputs === undefined ? compiled.evaluate(caller, method) : compiled.evaluateCall(caller, method, inputs);
  const judged = { ...about, rule, judgedMethod: method };
  const say = (...parts: readonly string[]): string => parts.filter((part) => part !== "").join("; ");
  if (allow) {
    const direct = caller.startsWith(`spiffe://${mesh}/service/`) && isDirectRead(compiled, method);
    const limits = limitsMet(unit.rateLimits, method);
    return { ...judged, allowed: true, reason: say(reason, moved), limits, direct };
  }
  return { ...judged, allowed: false, reason: say(reason, moved, slipOf(asked.caller, method, workloads, unit)) };
}

/**
 * Returns a remark about a caller or method that is not known and may be misspelt. The verdict stands. "": both are
 * known.
 */
function slipOf(caller: string, method: string, workloads: readonly string[], unit: Unit): string {
  const slips: string[] = [];
  if (isWorkload(caller) && !workloads.includes(caller))
    slips.push(
      `there is no ${isLabel(caller) ? "service" : "gateway"} ${quote(caller)}${renderNearest(caller, workloads)}`,
    );
  const stated = calleeOf(unit)?.methods ?? [];
  if (stated.length > 0 && !stated.includes(method))
    slips.push(`${unit.name} states its methods, and ${quote(method)} is none of them${renderNearest(method, stated)}`);
  return slips.join("; ");
}

function limitsMet(rateLimits: readonly RateLimit[], method: string): readonly LimitMet[] {
  return rateLimits.flatMap(({ name, limits }) =>
    limits.flatMap((limit, index) => {
      const cost = costOf(limit, method);
      if (cost === 0 || !isAbout(limit, method)) return [];
      const { burst, per, scope } = limit;
      return [{ name: `${name}/limits[${index}]`, rate: renderRate(limit.rate), burst, cost, per, scope }];
    }),
  );
}

/** Returns the asked text, shortened so that the length of an answer is bounded. */
const quote = (text: string): string => JSON.stringify(text.slice(0, 200));

function parseCaller(text: string, mesh: string): SpiffeId | undefined {
  try {
    return callerId(mesh, text);
  } catch {
    return undefined;
  }
}

/** Checks a route against the rest of the policy and the fleet. */
import type { PolicyChecker } from "../checker.js";
import { checkMirrors } from "./check-mirrors.js";
import type { RouteRule } from "./rule.js";

interface Routed {
  readonly service: string;
  readonly rules: readonly RouteRule[];
}

export function checkRoute({ service, rules }: Routed, checker: PolicyChecker): void {
  if (!checker.service(service, "service")) return;
  checkMirrors(rules, checker);
  let catchAll: number | undefined;
  let reported = false;
  for (const [index, rule] of rules.entries()) {
    const place = `rules[${index}]`;
    const { match } = rule;
    checker.methods(service, match?.methods ?? [], `${place}.match.methods`);
    checker.callers(match?.from ?? [], `${place}.match`);
    if (checker.isOutside(service)) checkOutside(service, rule, place, checker);
    else checkVersions(service, rule, place, checker);
    checkRewrite(service, rule, place, checker);
    checkAttempts(service, rule, place, checker);
    checkFault(rule, place, checker);
    if (catchAll !== undefined && !reported && checker.whole) {
      reported = true;
      checker.warn(place, `never reached: rules[${catchAll}] takes every call before it`);
    }
    if (matchesAll(match)) catchAll ??= index;
  }
}

/** Returns whether a rule takes every call that reaches it. */
export function matchesAll(match: RouteRule["match"]): boolean {
  const { methods = [], headers = [], from = [] } = match ?? {};
  return match === undefined || (headers.length === 0 && from.length === 0 && methods.includes("*"));
}

/** Reports parts of a rule that an Egress cannot have: it has addresses, and no versions or labels to choose among. */
function checkOutside(
  service: string,
  { split, mirror, rewrite }: RouteRule,
  place: string,
  checker: PolicyChecker,
): void {
  const why = `${service} is an Egress, whose addresses have no versions and labels`;
  if (split.length > 0) checker.error(`${place}.split`, `${why}: leave split out`);
  if (mirror !== undefined) checker.error(`${place}.mirror`, `${why}: leave mirror out`);
  if (rewrite !== undefined)
    checker.error(
      `${place}.rewrite`,
      `${service} is an Egress: a call leaves the mesh under the method that was judged`,
    );
}

function checkVersions(service: string, { split, mirror }: RouteRule, place: string, checker: PolicyChecker): void {
  const versions = checker.context.knownVersions;
  if (versions === undefined) return;
  const known = versions.get(service) ?? new Set<string>();
  const check = (version: string, weight: number, at: string): void => {
    if (version === "" || weight === 0 || known.has(version)) return;
    const nearest = checker.nearest(version, () => known);
    checker.warn(at, `no endpoint of ${service} has version ${JSON.stringify(version)} now${nearest}`);
  };
  for (const { version, weight } of split) check(version, weight, `${place}.split=${version}`);
  if (mirror !== undefined) check(mirror.version, 1, `${place}.mirror`);
}

function checkRewrite(service: string, { rewrite, match }: RouteRule, place: string, checker: PolicyChecker): void {
  if (rewrite === undefined) return;
  const at = `${place}.rewrite.method`;
  checker.methods(service, [rewrite.method], at);
  const methods = match?.methods ?? [];
  if (methods.length === 1 && !methods[0]?.endsWith("*")) return;
  const which = methods.length === 0 ? "every method" : `all of ${methods.join(", ")}`;
  checker.warn(at, `${which} becomes ${rewrite.method}, whatever its messages are; name one method under match`);
}

function checkAttempts(service: string, rule: RouteRule, place: string, checker: PolicyChecker): void {
  const { match, retry, hedge, timeoutMs, rewrite } = rule;
  if (retry === undefined && hedge === undefined) return;
  const stated = rewrite === undefined ? (match?.methods ?? []) : [rewrite.method];
  const writes = checker.notIdempotent(service, stated.length === 0 ? ["*"] : stated);
  if (writes.length > 0) {
    const which = `${writes.slice(0, 5).join(", ")}${writes.length > 5 ? " and more" : ""}`;
    const kind = checker.isOutside(service) ? "Egress" : "Service";
    const remedy = `list it under idempotent or noSideEffects of ${kind} ${service} if that is so, or match other methods`;
    const message = `${which} is not marked idempotent, so a call may be carried out twice; ${remedy}`;
    if (hedge !== undefined) checker.error(`${place}.hedge`, `hedging sends calls more than once, and ${message}`);
    else checker.warn(`${place}.retry`, message);
  }
  const perTryMs = retry?.perTryTimeoutMs ?? 0;
  if (timeoutMs > 0 && perTryMs >= timeoutMs)
    checker.warn(`${place}.retry`, "perTryTimeout is not below timeout, so that there is no time for a second try");
  if (timeoutMs > 0 && hedge !== undefined && hedge.delayMs >= timeoutMs)
    checker.warn(`${place}.hedge`, "delay is not below timeout, so that there is no time for a second try");
}

function checkFault({ fault }: RouteRule, place: string, checker: PolicyChecker): void {
  if (fault === undefined) return;
  const { abort, delay } = fault;
  const abortIs = abort && `${abort.percent / 100} % of its calls are answered ${abort.code}`;
  const delayIs = delay && `${delay.percent / 100} % wait ${delay.timeMs} ms`;
  checker.warn(
    `${place}.fault`,
    `a fault for tests: ${[abortIs, delayIs].filter((one) => one !== undefined).join(", ")}`,
  );
}

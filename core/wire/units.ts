/** Units and snapshot lists: model to deterministic bytes and back, checked by digest before they are parsed (I3). */

import {
  Assertion_Claim,
  type Assertion as AssertionMessage,
  type JwtIssuer as IssuerMessage,
  RouteRule_OnStale,
  type RouteRule as RouteRuleMessage,
  type AuthorizationRule as RuleMessage,
  Unit as UnitMessage,
} from "../../proto/gen/ashlar/v1/policy.js";
import { SnapshotList as SnapshotListMessage } from "../../proto/gen/ashlar/v1/records.js";
import { type Digest, digestFromBytes, digestOf, digestToBytes } from "../digest.js";
import { AshlarError } from "../errors.js";
import { isLabel } from "../identity.js";
import {
  type Assertion,
  type AuthorizationRule,
  type EncodedUnit,
  meshUnitName,
  type Route,
  type RouteRule,
  type RouteStaleness,
  type SnapshotList,
  type Unit,
  type UnitChange,
  type UnitRef,
} from "../model.js";
import { compareNames } from "../snapshot/canonical-list.js";
import { canonicalUnit } from "../snapshot/canonical-unit.js";
import { unitBytesMax } from "../snapshot/grammar.js";
import type { JwtIssuer } from "../token/token-model.js";
import { messageOfRateLimit, rateLimitOfMessage } from "./rate-limits.js";
import { decodeStrict, reading } from "./strict.js";

const listBytesMax = 8 * 1024 * 1024;

/**
 * The unit in canonical form with its bytes and digest: the same whatever the order of what came in.
 * Fails with `invalid_policy` on a unit that `parseUnit` would refuse, with `limit` above 512 KiB.
 */
export function encodeUnit(unit: Unit): EncodedUnit {
  const canonical = canonicalUnit(unit);
  const bytes = encodeCanonical(canonical);
  if (bytes.length > unitBytesMax) {
    throw new AshlarError(
      "limit",
      `service ${unit.name}: its policy takes ${bytes.length} bytes, at most ${unitBytesMax}`,
    );
  }
  return Object.freeze({ unit: canonical, bytes, digest: digestOf(bytes) });
}

/**
 * The unit that `expected` names. Fails with `invalid_record` if the bytes have another digest, are
 * about another service, hold anything this version does not know or are not in canonical form.
 */
export function parseUnit(bytes: Uint8Array, expected: UnitRef): Unit {
  const what = `unit ${expected.name}`;
  requireDigest(bytes, expected.digest, what, unitBytesMax);
  const message = decodeStrict(UnitMessage, bytes, what, unitBytesMax);
  return reading(what, () => {
    if (message.name !== expected.name)
      throw new AshlarError("invalid_record", `${what}: it is about ${JSON.stringify(message.name.slice(0, 64))}`);
    const unit = canonicalUnit(unitOfMessage(message));
    if (!equalBytes(encodeCanonical(unit), bytes))
      throw new AshlarError("invalid_record", `${what}: not in canonical form (sorted, each thing once)`);
    return unit;
  });
}

/** The list with its bytes and digest, sorted by name. Fails with `invalid_policy` on a bad or repeated name. */
export function encodeSnapshotList(refs: readonly UnitRef[]): SnapshotList {
  const units = refs.map((ref): UnitRef => Object.freeze({ name: ref.name, digest: ref.digest }));
  units.sort((a, b) => compareNames(a.name, b.name));
  for (const [index, { name }] of units.entries()) {
    if (name !== meshUnitName && !isLabel(name))
      throw new AshlarError("invalid_policy", `snapshot: not the name of a unit: ${JSON.stringify(name.slice(0, 64))}`);
    if (name === units[index - 1]?.name)
      throw new AshlarError("invalid_policy", `snapshot: the unit ${name} is there twice`);
  }
  const bytes = SnapshotListMessage.encode({
    units: units.map(({ name, digest }) => ({ name, digest: Buffer.from(digestToBytes(digest)) })),
  }).finish();
  if (bytes.length > listBytesMax)
    throw new AshlarError("limit", `snapshot: its list takes ${bytes.length} bytes, at most ${listBytesMax}`);
  return Object.freeze({ units: Object.freeze(units), digest: digestOf(bytes), bytes });
}

/** The list with this digest. Fails with `invalid_record` as `parseUnit` does. */
export function parseSnapshotList(bytes: Uint8Array, digest: Digest): SnapshotList {
  const what = "snapshot list";
  requireDigest(bytes, digest, what, listBytesMax);
  const message = decodeStrict(SnapshotListMessage, bytes, what, listBytesMax);
  return reading(what, () => {
    const list = encodeSnapshotList(
      message.units.map((ref) => ({ name: ref.name, digest: digestFromBytes(ref.digest) })),
    );
    if (list.digest !== digest)
      throw new AshlarError("invalid_record", `${what}: not in canonical form (sorted by name)`);
    return list;
  });
}

/** The list after `changes`. Fails with `invalid_record` if one unit changes twice or a missing one goes. */
export function applyChanges(list: SnapshotList, changes: readonly UnitChange[]): SnapshotList {
  const units = new Map(list.units.map((ref) => [ref.name, ref.digest]));
  const seen = new Set<string>();
  for (const { name, digest } of changes) {
    if (seen.has(name)) throw new AshlarError("invalid_record", `changes: the unit ${name} is there twice`);
    seen.add(name);
    if (digest !== undefined) units.set(name, digest);
    else if (!units.delete(name))
      throw new AshlarError("invalid_record", `changes: the unit ${name} goes but was not there`);
  }
  return encodeSnapshotList([...units].map(([name, digest]) => ({ name, digest })));
}

/** What turns list `a` into `b`, sorted by name. */
export function changesBetween(a: SnapshotList, b: SnapshotList): UnitChange[] {
  const before = new Map(a.units.map((ref) => [ref.name, ref.digest]));
  const changes: UnitChange[] = [];
  for (const { name, digest } of b.units) {
    if (before.get(name) !== digest) changes.push({ name, digest });
    before.delete(name);
  }
  for (const name of before.keys()) changes.push({ name, digest: undefined });
  return changes.sort((left, right) => compareNames(left.name, right.name));
}

function requireDigest(bytes: Uint8Array, digest: Digest, what: string, bytesMax: number): void {
  if (bytes.length > bytesMax)
    throw new AshlarError("limit", `${what}: ${bytes.length} bytes, at most ${bytesMax} are read`);
  if (digestOf(bytes) !== digest)
    throw new AshlarError("invalid_record", `${what}: the bytes do not have the digest ${digest}`);
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function encodeCanonical(unit: Unit): Uint8Array {
  return UnitMessage.encode({
    name: unit.name,
    service: unit.service && { name: unit.service.name, methods: [...unit.service.methods] },
    authorizations: unit.authorizations.map((each) => ({
      name: each.name,
      service: each.service,
      allow: each.allow.map(messageOfRule),
      deny: each.deny.map(messageOfRule),
    })),
    routes: unit.routes.map((route) => ({
      name: route.name,
      service: route.service,
      rules: route.rules.map((rule) => ({
        match: rule.match && {
          methods: [...rule.match.methods],
          headers: rule.match.headers.map(({ name, value }) => ({ name, value })),
        },
        split: rule.split.map(({ version, weight }) => ({ version, weight })),
        timeoutMs: rule.timeoutMs,
        maxStalenessMs: rule.staleness?.maxMs ?? 0,
        onStale: onStaleOf(rule.staleness),
      })),
    })),
    assertions: unit.assertions.map(({ name, service, claim, from, methods }) => ({
      name,
      service,
      claim: claim === "never" ? Assertion_Claim.CLAIM_NEVER : Assertion_Claim.CLAIM_ALWAYS,
      from: [...from],
      methods: [...methods],
    })),
    rateLimits: unit.rateLimits.map(messageOfRateLimit),
    issuers: unit.issuers.map(({ name, audiences, requiredClaims, forwardClaims }) => ({
      name,
      audiences: [...audiences],
      requiredClaims: [...requiredClaims],
      forwardTo: [...(forwardClaims?.to ?? [])],
      forwardClaims: [...(forwardClaims?.claims ?? [])],
    })),
  }).finish();
}

function messageOfRule({ from, methods, when }: AuthorizationRule) {
  return { from: [...from], methods: [...methods], when: when ?? "" };
}

function ruleOfMessage({ from, methods, when }: RuleMessage): AuthorizationRule {
  return { from, methods, when: when === "" ? undefined : when };
}

function assertionOfMessage({ name, service, claim, from, methods }: AssertionMessage): Assertion {
  return { kind: "Assertion", name, service, claim: claimOfMessage(name, claim), from, methods };
}

function onStaleOf(staleness: RouteStaleness | undefined): RouteRule_OnStale {
  if (staleness === undefined) return RouteRule_OnStale.ON_STALE_UNSPECIFIED;
  return staleness.onStale === "keep" ? RouteRule_OnStale.ON_STALE_KEEP : RouteRule_OnStale.ON_STALE_FAIL;
}

function stalenessOfMessage(
  route: string,
  { maxStalenessMs: maxMs, onStale }: RouteRuleMessage,
): Pick<RouteRule, "staleness"> {
  if (maxMs === 0 && onStale === RouteRule_OnStale.ON_STALE_UNSPECIFIED) return {};
  if (onStale === RouteRule_OnStale.ON_STALE_KEEP) return { staleness: { maxMs, onStale: "keep" } };
  if (onStale === RouteRule_OnStale.ON_STALE_FAIL) return { staleness: { maxMs, onStale: "fail" } };
  const which = JSON.stringify(route.slice(0, 64));
  throw new AshlarError("invalid_record", `route ${which}: unknown on_stale ${onStale}; a newer version may know it`);
}

function claimOfMessage(name: string, claim: Assertion_Claim): Assertion["claim"] {
  if (claim === Assertion_Claim.CLAIM_NEVER) return "never";
  if (claim === Assertion_Claim.CLAIM_ALWAYS) return "always";
  const which = JSON.stringify(name.slice(0, 64));
  throw new AshlarError("invalid_record", `assertion ${which}: unknown claim ${claim}; a newer version may know it`);
}

function unitOfMessage(message: UnitMessage): Unit {
  return {
    name: message.name,
    service: message.service && { kind: "Service", name: message.service.name, methods: message.service.methods },
    authorizations: message.authorizations.map(({ name, service, allow, deny }) => ({
      kind: "Authorization",
      name,
      service,
      allow: allow.map(ruleOfMessage),
      deny: deny.map(ruleOfMessage),
    })),
    routes: message.routes.map(
      (route): Route => ({
        kind: "Route",
        name: route.name,
        service: route.service,
        rules: route.rules.map((rule) => ({
          match: rule.match && { methods: rule.match.methods, headers: rule.match.headers },
          split: rule.split,
          timeoutMs: rule.timeoutMs,
          ...stalenessOfMessage(route.name, rule),
        })),
      }),
    ),
    assertions: message.assertions.map(assertionOfMessage),
    rateLimits: message.rateLimits.map(rateLimitOfMessage),
    issuers: message.issuers.map(issuerOfMessage),
  };
}

function issuerOfMessage({ name, audiences, requiredClaims, forwardTo, forwardClaims }: IssuerMessage): JwtIssuer {
  if ((forwardTo.length === 0) !== (forwardClaims.length === 0))
    throw new AshlarError("invalid_record", `issuer ${JSON.stringify(name.slice(0, 64))}: claims to nobody, or none`);
  const forwarding = forwardTo.length === 0 ? {} : { forwardClaims: { to: forwardTo, claims: forwardClaims } };
  return { kind: "JwtIssuer", name, audiences, requiredClaims, ...forwarding };
}

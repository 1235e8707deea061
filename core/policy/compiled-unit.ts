/** The interface of a compiled unit. */

import type { SpiffeId } from "../identity.js";
import type { JournalPlan } from "../journal/plan.js";
import type { Gateway } from "../kinds/gateway/gateway.js";
import type { JwtIssuer } from "../kinds/jwt-issuer/jwt-issuer.js";
import type { RateLimit } from "../kinds/rate-limit/rate-limit.js";
import type { Resilience } from "../kinds/resilience/resilience.js";
import type { PlacedEndpoint } from "../route/choose-target.js";
import type { CompiledRouteRule } from "./compiled-route.js";
import type { CompiledTelemetry } from "./compiled-telemetry.js";
import type { CallInputs } from "./condition/frame.js";
import type { ConditionRead } from "./condition/scope.js";
import type { Access, Decision, SubjectKnowledge } from "./decision.js";

export interface CompiledUnit {
  readonly name: string;
  /**
   * Returns whether `caller` may call `method` ("package.Service/Method", without a slash in front). Deny wins over
   * allow. A call that no rule matches is denied (I4), and so is a method that the service does not state where it
   * states its methods. The same pair gives the same object. A condition that reads more than the pair cannot be
   * evaluated here: it matches in a deny and not in an allow.
   */
  evaluate(caller: SpiffeId, method: string): Decision;
  /** Judges one call. `inputs` is asked only for values that a condition of a matching rule reads. */
  evaluateCall(caller: SpiffeId, method: string, inputs: CallInputs): Decision;
  /** Returns what the conditions of the rules about this pair read of a call; empty: nothing beyond the pair. */
  readsOf(caller: SpiffeId, method: string): ReadonlySet<ConditionRead>;
  /**
   * Returns whether a rule that can still match reads the token: a call with an invalid token must then be refused
   * without being judged.
   */
  readsToken(caller: SpiffeId, method: string): boolean;
  /** Returns whether a token may turn the denial of a call that has none: the caller is then asked for a token. */
  asksForToken(caller: SpiffeId, method: string, inputs: CallInputs): boolean;
  /** True if some rule reads the token. If it is false, `readsToken` is false for every pair. */
  readonly hasTokenRules: boolean;
  /** True if a rate limit reads the token: a call with a token then needs a valid one. */
  readonly hasTokenLimits: boolean;
  /** The JwtIssuers whose tokens are accepted. Only the mesh's unit has them. */
  readonly issuers: readonly JwtIssuer[];
  /** True if there are rules with conditions, so that `evaluateCall` and `evaluate` may differ. */
  readonly hasConditions: boolean;
  /**
   * Returns the CEL condition under which `caller` may call `method`: true exactly for the calls that `evaluateCall`
   * allows. "true": always; "false": never. `knows` says whether the caller and the method stand for themselves only
   * (both, by default). Where one stands for others too, conditions on it are left in the result.
   */
  conditionFor(caller: SpiffeId, method: string, knows?: SubjectKnowledge): string;
  /** Returns the same verdict with the rule that gives it: allowed, denied, or conditional with the condition. */
  accessFor(caller: SpiffeId, method: string, knows?: SubjectKnowledge): Access;
  /**
   * Returns the first rule of the route that matches, or undefined as if there were no route. `header` returns a
   * request header's value (repeated ones joined with ","), or undefined if it is absent.
   */
  findRoute(
    method: string,
    header: (name: string) => string | undefined,
    caller: SpiffeId,
  ): CompiledRouteRule | undefined;
  /**
   * Returns whether a rule of the route copies calls of `caller` that arrive under `method` to instances such as
   * `place`. Conditions on headers are ignored, because routes change headers.
   */
  mirrorsTo(place: PlacedEndpoint, method: string, caller: SpiffeId): boolean;
  /** True if some rule sends calls on under another method. */
  readonly hasRewrites: boolean;
  /** The keys of the endpoint labels that the route's splits read, sorted. */
  readonly routeLabels: readonly string[];
  /** The gateway that the unit is about; undefined: it is about something else. */
  readonly gateway: Gateway | undefined;
  /** True if the unit is about an Egress: its destination is outside the mesh. */
  readonly isOutside: boolean;
  /** How calls are spread over instances, and which are left out; undefined: the defaults apply. */
  readonly resilience: Resilience | undefined;
  /** Returns whether the service says that a method changes nothing. */
  hasNoSideEffects(method: string): boolean;
  /** Which calls are journaled, and how; undefined: none are. */
  readonly journal: JournalPlan | undefined;
  /** Which calls leave traces and lines in the access log. The mesh's unit states this for services that do not. */
  readonly telemetry: CompiledTelemetry;
  /** The rate limits, for a `Limiter`, whose budgets outlive the unit. */
  readonly rateLimits: readonly RateLimit[];
  /** Returns the headers that decide which of the route's rules takes a call of `method`, sorted. */
  routeTests(method: string): readonly string[];
  /** Returns the same, and those that decide where such a call goes, sorted. */
  routeHeaders(method: string): readonly string[];
}

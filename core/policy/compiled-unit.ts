/** What a compiled unit answers. */

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
   * Returns whether `caller` may call `method` ("package.Service/Method", no slash in front). Deny wins over allow;
   * what nothing matches is denied (I4), and so is a method that the service does not state where it states its
   * methods. The same pair gives the same object. Conditions on more than the pair cannot be told here: they match in a
   * deny and not in an allow.
   */
  evaluate(caller: SpiffeId, method: string): Decision;
  /** Judges one call. `inputs` is asked only for values that a condition of a matching rule reads. */
  evaluateCall(caller: SpiffeId, method: string, inputs: CallInputs): Decision;
  /** What the conditions of the rules in question read of such a call; empty: none reads anything but the pair. */
  readsOf(caller: SpiffeId, method: string): ReadonlySet<ConditionRead>;
  /**
   * A rule that can still match once the pair is known reads the token: a call with one that is not good must not be
   * judged at all.
   */
  readsToken(caller: SpiffeId, method: string): boolean;
  /** Returns whether a token may turn the denial of a call that has none: then one is asked for. */
  asksForToken(caller: SpiffeId, method: string, inputs: CallInputs): boolean;
  /** True if some rule reads the token. If it is false, `readsToken` is false for every pair. */
  readonly hasTokenRules: boolean;
  /** A rate limit reads the token: every call's token has to be good, if it has one. */
  readonly hasTokenLimits: boolean;
  /** The JwtIssuers whose tokens are accepted. Only the mesh's unit has them. */
  readonly issuers: readonly JwtIssuer[];
  /** True if there are rules with conditions, so that `evaluateCall` and `evaluate` may differ. */
  readonly hasConditions: boolean;
  /**
   * The condition in CEL under which `caller` may call `method`: true exactly where `evaluateCall` allows it.
   * "true": always; "false": never. `knows` says which of the two stands for itself only (both, by default);
   * conditions on what stands for others too are left in.
   */
  conditionFor(caller: SpiffeId, method: string, knows?: SubjectKnowledge): string;
  /** Returns the same verdict with its rule: allowed, denied, or conditional with the condition. */
  accessFor(caller: SpiffeId, method: string, knows?: SubjectKnowledge): Access;
  /**
   * The first rule of the route that matches; undefined: as without a route. `header` gives a request
   * header's value (repeated ones joined with ","), or undefined where it is missing.
   */
  findRoute(
    method: string,
    header: (name: string) => string | undefined,
    caller: SpiffeId,
  ): CompiledRouteRule | undefined;
  /**
   * Whether a rule of the route makes copies of calls for instances such as `place`: of calls of `caller` that arrive under
   * `method`. Which headers the rule asks for does not count, since routes change headers.
   */
  mirrorsTo(place: PlacedEndpoint, method: string, caller: SpiffeId): boolean;
  /** Some rule lets calls go on under another method. */
  readonly hasRewrites: boolean;
  /** Labels of endpoints that splits of the route read, sorted. */
  readonly routeLabels: readonly string[];
  /** The gateway that the unit is about; undefined: it is about a service. */
  readonly gateway: Gateway | undefined;
  /** The unit is about an Egress: what is called is outside the mesh. */
  readonly isOutside: boolean;
  /** How calls are spread over instances, and which are left out; undefined: by the defaults. */
  readonly resilience: Resilience | undefined;
  /** Whether a method changes nothing, as far as the service says. */
  hasNoSideEffects(method: string): boolean;
  /** Which calls are journaled, and how; undefined: none. */
  readonly journal: JournalPlan | undefined;
  /** Which calls leave traces and lines in the access log; of the mesh's unit: of services that do not say. */
  readonly telemetry: CompiledTelemetry;
  /** How often it may be called, for a `Limiter`: the budgets outlive the unit. */
  readonly rateLimits: readonly RateLimit[];
  /** The headers that the route's rules in question for `method` read, sorted. */
  routeHeaders(method: string): readonly string[];
}

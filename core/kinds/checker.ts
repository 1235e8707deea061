/** The input of a kind's checks: the rest of the policy, the fleet, and functions that report findings. */

import type { WeightedVersion } from "./route/targets.js";

/** An instance that takes calls, as far as checks read it. */
export interface KnownEndpoint {
  readonly instance: string;
  readonly version: string;
  readonly labels: readonly { readonly key: string; readonly value: string }[];
  readonly reportsApplied?: boolean;
}

/** The state of the mesh that policy is checked against. */
export interface PolicyContext {
  readonly mesh: string;
  /** The versions that run, by service. If it is undefined, versions are not checked. */
  readonly knownVersions?: ReadonlyMap<string, ReadonlySet<string>> | undefined;
  /**
   * The endpoints that take calls, by service. If it is undefined, what endpoints report about themselves is not
   * checked.
   */
  readonly knownEndpoints?: ReadonlyMap<string, readonly KnownEndpoint[]> | undefined;
  /** The issuers that the trust log has keys of. If it is undefined, keys are not checked. */
  readonly knownIssuers?: ReadonlySet<string> | undefined;
  /** The egresses that the trust log has addresses of. If it is undefined, addresses are not checked. */
  readonly knownEgresses?: ReadonlySet<string> | undefined;
  /** Whether the trust log has a holder of journals' private fields. If it is undefined, that is not checked. */
  readonly hasJournalHolder?: boolean | undefined;
}

/** A rule of a service's Route. */
export interface RoutedTo {
  /** For people: "rules[0] of Route payments". */
  readonly place: string;
  readonly split: readonly WeightedVersion[];
  /** Whether the rule takes every call that reaches it. */
  readonly isForAll: boolean;
  /** The longest time that one try of a call may take, in milliseconds; 0: as long as the call. */
  readonly perTryTimeoutMs: number;
  /** What else the caller's proxy does for its calls: "timeout", "retry", "rewrite" and the like. */
  readonly does: readonly string[];
}

/**
 * The checks of one object. A `place` is a field ("rules[0].split"), or a field with a text in it
 * ("allow[0].from=cart").
 */
export interface PolicyChecker {
  readonly context: PolicyContext;
  /** True if the policy contains a JwtIssuer. */
  readonly hasIssuers: boolean;
  /** False if the parser reported an error in the object and left that part out. */
  readonly whole: boolean;
  error(place: string, message: string): void;
  warn(place: string, message: string): void;
  /** Returns whether the file has a value at this place. */
  isStated(place: string): boolean;
  /** Reports a service that does not exist, and says whether it exists; "" was reported by the parser. */
  service(name: string, place: string): boolean;
  /** Returns whether `name` is the name of an Egress. */
  isOutside(name: string): boolean;
  /** Reports an issuer that no JwtIssuer states. */
  issuer(name: string, place: string): void;
  /** Returns whether a rule of an Authorization allows a caller, as policy names it, anything of `service`. */
  mayCall(caller: string, service: string): boolean;
  /** Reports callers of this mesh that do not exist. */
  callers(callers: readonly string[], place: string): void;
  /** Reports methods that `service` does not state, where it states its methods. */
  methods(service: string, methods: readonly string[], place: string): void;
  /** Returns the methods that `service` marks neither idempotent nor free of side effects. */
  notIdempotent(service: string, methods: readonly string[]): readonly string[];
  /** Returns the methods that `service` marks free of side effects. */
  noSideEffects(service: string): readonly string[];
  /** Returns the rules of the Route of `service`. */
  routeRules(service: string): readonly RoutedTo[];
  /** Returns the endpoints of `service` that match a target and take calls, or undefined if that is not known. */
  endpoints(service: string, target: Pick<WeightedVersion, "version" | "labels">): readonly KnownEndpoint[] | undefined;
  /** Returns the end of a message that suggests the name that was probably meant, or "" if no name is near. */
  nearest(text: string, names: () => Iterable<string>): string;
}

export interface Checked<Object> {
  readonly object: Object;
  readonly checker: PolicyChecker;
}

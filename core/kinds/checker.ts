/** What a kind's checks are given: the rest of the policy, the fleet, and a way to report. */

/** What policy is checked against. */
export interface PolicyContext {
  readonly mesh: string;
  /** Versions that the fleet has, by service; undefined: not known, so nothing is said about versions. */
  readonly knownVersions?: ReadonlyMap<string, ReadonlySet<string>> | undefined;
  /** Issuers that the trust log has keys of; undefined: not known, so nothing is said about keys. */
  readonly knownIssuers?: ReadonlySet<string> | undefined;
}

/** The checks of one object. A `place` is a field ("rules[0].split"), or a field with a text in it ("allow[0].from=cart"). */
export interface PolicyChecker {
  readonly context: PolicyContext;
  /** Some JwtIssuer is part of the policy. */
  readonly hasIssuers: boolean;
  /** False: something in the object is wrong and was left out. */
  readonly whole: boolean;
  error(place: string, message: string): void;
  warn(place: string, message: string): void;
  /** Whether the file states something at this place. */
  isStated(place: string): boolean;
  /** Reports a service that does not exist, and says whether it exists; "" was reported by the parser. */
  service(name: string, place: string): boolean;
  /** Reports callers of this mesh that do not exist. */
  callers(callers: readonly string[], place: string): void;
  /** Reports methods that `service` does not state, where it states its methods. */
  methods(service: string, methods: readonly string[], place: string): void;
  /** Completes a message with the name that was probably meant; "" where there is none. */
  nearest(text: string, names: () => Iterable<string>): string;
}

/** An object with its checker. */
export interface Checked<Object> {
  readonly object: Object;
  readonly checker: PolicyChecker;
}

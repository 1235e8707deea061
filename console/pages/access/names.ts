/** The names that fields suggest, taken from the policy. */
export interface Names {
  readonly services: readonly string[];
  readonly callers: readonly string[];
  readonly methods: readonly string[];
}

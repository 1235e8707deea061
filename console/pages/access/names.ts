/** Names that fields suggest: those that policy has. */
export interface Names {
  readonly services: readonly string[];
  readonly callers: readonly string[];
  readonly methods: readonly string[];
}

/** The state of the mesh that policy is checked against when it is published. */
import type { PolicyContext } from "../../core/kinds/checker.js";
import type { Endpoint } from "../../core/model.js";

export interface KnownMesh {
  readonly mesh: string;
  /** Returns the versions that run, by service. */
  readonly knownVersions: () => ReadonlyMap<string, ReadonlySet<string>>;
  /** Returns the endpoints that take calls, by service; left out: what they report about themselves is not checked. */
  readonly knownEndpoints?: () => ReadonlyMap<string, readonly Endpoint[]>;
  /** Returns the issuers of tokens whose keys are in the trust log. */
  readonly knownIssuers: () => ReadonlySet<string>;
  /** Returns the egresses whose addresses are in the trust log. */
  readonly knownEgresses?: () => ReadonlySet<string>;
  /** Returns whether the trust log has a holder of journals' private fields. */
  readonly hasJournalHolder?: () => boolean;
}

/** Returns the state of the mesh now. */
export function contextOf({ mesh, ...known }: KnownMesh): PolicyContext {
  return {
    mesh,
    knownVersions: known.knownVersions(),
    knownEndpoints: known.knownEndpoints?.(),
    knownIssuers: known.knownIssuers(),
    knownEgresses: known.knownEgresses?.(),
    hasJournalHolder: known.hasJournalHolder?.(),
  };
}

/** What a proxy knows about blocks with one profile. It is kept in the profile's slot (`FieldProfile.memo`). */
import type { CompiledRouteRule } from "../../../core/policy/compile.js";

/** The rule that takes the requests of one profile, whatever the values are that vary. */
export interface KnownRoute {
  /** The unit that has the rule; a changed policy has another one. */
  readonly unit: object;
  /** The mask of the fields that were dropped when the rule was found. */
  readonly dropped: number;
  readonly rule: CompiledRouteRule | undefined;
  /** The field whose value such calls stick to. -1: read it by its name. */
  readonly stickyAt: number;
}

export class KnownBlock {
  /** The changes that were last made to such blocks, and a mask of the fields that they drop. */
  changes: object | null = null;
  changed = 0;
  /** null: the values that vary decide about the rule, or it was not looked for yet. */
  route: KnownRoute | null = null;
  /** The unit for which the values that vary decide, so that nobody tries again; null: there is none. */
  undecided: object | null = null;
}

/** The split of a rule, prepared for many calls among the same endpoints. */
import type { CompiledRouteRule } from "../policy/compiled-route.js";
import { indexByDraw, indexByKey, isOfTarget, type PlacedEndpoint } from "./choose-target.js";
import { type Salt, saltOf } from "./stable-hash.js";

const nowhere: readonly never[] = [];

export class PreparedSplit<Each extends PlacedEndpoint> {
  /** The endpoints that the split was prepared for. */
  readonly among: readonly Each[];
  readonly #rule: CompiledRouteRule;
  readonly #salts: readonly Salt[];
  /** The endpoints of each target. */
  readonly #endpoints: readonly (readonly Each[])[];
  readonly #isUsable: readonly boolean[];

  /** `rule` has a split. `service`: the called service. */
  constructor(rule: CompiledRouteRule, service: string, among: readonly Each[]) {
    const { split, targets, failsWhenEmpty } = rule;
    this.among = among;
    this.#rule = rule;
    this.#salts = targets.map((name) => saltOf(service, name));
    const endpoints = split.map((target) => among.filter((endpoint) => isOfTarget(target, endpoint)));
    this.#isUsable = split.map(
      ({ weight }, index) => weight > 0 && (failsWhenEmpty || (endpoints[index] ?? nowhere).length > 0),
    );
    this.#endpoints = endpoints;
  }

  /** Returns the endpoints of the target that `chooseTarget` chooses; empty: the call may go nowhere. */
  choose(draw: number, key: string | undefined): readonly Each[] {
    const { split } = this.#rule;
    const index =
      key === undefined
        ? indexByDraw(split, this.#isUsable, draw)
        : indexByKey(split, this.#isUsable, this.#salts, key);
    return this.#endpoints[index] ?? nowhere;
  }
}

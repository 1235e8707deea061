/** Finds the rule of a route that takes a call, and what the call's split is chosen by. */
import type { SpiffeId } from "../../core/identity.js";
import type { CompiledRouteRule, CompiledUnit } from "../../core/policy/compile.js";
import { stickyKey } from "../../core/route/choose-target.js";
import type { FieldBlock } from "../http2/field-block.js";
import { KnownBlock, type KnownRoute } from "./forward/known-block.js";
import { isNamed } from "./forward/name-ids.js";
import { joinHeader } from "./request-head.js";

/** The part of a call that its route decides. */
interface RoutableCall {
  readonly method: string;
  rule: CompiledRouteRule | undefined;
  versionDraw: number;
  stickyKey: string | undefined;
}

export class CallRoutes {
  readonly #self: SpiffeId;
  readonly #draw: () => number;
  /** The fields of the call that is being planned. `header` reads them, so that no closure is created per call. */
  #fields: FieldBlock | undefined;
  readonly header = (name: string): string | undefined =>
    this.#fields === undefined ? undefined : joinHeader(this.#fields, name);

  /** `self`: the caller of all calls. `draw` returns random numbers, uniform in [0, 1). */
  constructor(self: SpiffeId, draw: () => number) {
    this.#self = self;
    this.#draw = draw;
  }

  /** Begins with a call: `header` and `find` read these fields. */
  read(fields: FieldBlock): void {
    this.#fields = fields;
  }

  /** Finds the rule of a call whose fields are read, and notes it in the call. */
  find(call: RoutableCall, unit: CompiledUnit | undefined): CompiledRouteRule | undefined {
    const fields = this.#fields;
    if (unit === undefined || fields === undefined) return undefined;
    const known = this.#known(call, unit, fields);
    const rule = known === null ? unit.findRoute(call.method, this.header, this.#self) : known.rule;
    call.rule = rule;
    if (rule === undefined || rule.split.length === 0) return rule;
    call.versionDraw = this.#draw();
    const at = known === null ? -1 : known.stickyAt;
    call.stickyKey = at >= 0 ? fields.valueText(at) : stickyKey(rule, this.header, this.#self);
    return rule;
  }

  /**
   * Returns what is known of the route of such requests: those of one connection with the same fields, of which the same
   * are dropped and only values differ that no rule tests. null: nothing is.
   */
  #known({ method }: RoutableCall, unit: CompiledUnit, fields: FieldBlock): KnownRoute | null {
    const { profile, dropped } = fields;
    if (profile === null || fields.count !== profile.count) return null;
    const block = profile.memo;
    if (!(block instanceof KnownBlock) || block.undecided === unit) return null;
    const { route } = block;
    if (route !== null && route.unit === unit && route.dropped === dropped) return route;
    if (isTested(unit.routeTests(method), fields, profile.varying)) {
      block.undecided = unit;
      return null;
    }
    const rule = unit.findRoute(method, this.header, this.#self);
    block.route = { unit, dropped, rule, stickyAt: stickyPlace(rule, fields) };
    return block.route;
  }
}

/** Whether one of the fields at `places` has one of these names. */
function isTested(names: readonly string[], fields: FieldBlock, places: Uint8Array): boolean {
  return names.some((name) => places.some((field) => isNamed(fields, field, name)));
}

/** Returns the only field with the name that calls of a rule stick to, or -1. */
function stickyPlace(rule: CompiledRouteRule | undefined, fields: FieldBlock): number {
  const name = rule?.sticky;
  if (typeof name !== "string") return -1;
  let found = -1;
  for (let field = 0; field < fields.count; field++) {
    if (fields.isDropped(field) || !isNamed(fields, field, name)) continue;
    if (found >= 0) return -1;
    found = field;
  }
  return found;
}

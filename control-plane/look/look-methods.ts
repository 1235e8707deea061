/** The admin API's methods for watching calls as they happen. */
import { BoundedMap } from "../../core/bounded-map.js";
import { AshlarError, messageOf } from "../../core/errors.js";
import { describeTap, type TapFilter } from "../../core/look/look-model.js";
import { parseTapFilter } from "../../core/wire/look.js";
import { refuseUnknownFields } from "../../core/wire/strict.js";
import type { AdminServiceService } from "../../proto/gen/ashlar/v1/admin.js";
import type { WatchTrafficResponse } from "../../proto/gen/ashlar/v1/look.js";
import type { Clock } from "../../runtime/clock.js";
import { type Implementation, serverStreaming } from "../../runtime/grpc-handlers.js";
import type { OperatorCaller } from "../activate/operator-caller.js";
import { authorize, type OperatedDeps } from "../admin/operated.js";
import { audited } from "../audit/audit-trail.js";
import type { Taps } from "./taps.js";
import type { Traffic, TrafficView } from "./traffic.js";

export interface LookDeps extends OperatedDeps {
  readonly traffic: Pick<Traffic, "watch">;
  readonly taps: Pick<Taps, "open" | "checkRoom">;
  readonly clock: Clock;
}

type LookMethods = Pick<Implementation<typeof AdminServiceService>, "watchTraffic" | "tapCalls">;

const pairsMax = 2000;
const silentMax = 20;
/** The milliseconds within which an operator who connects again is not recorded again. */
const noteAgainMs = 10 * 60_000;
const operatorsMax = 1000;

const all: TapFilter = { service: "", caller: "", method: "", refused: false, slowMs: 0 };

export function lookMethods(deps: LookDeps): LookMethods {
  const { traffic, taps, audit, clock } = deps;
  const noted = new BoundedMap<string, number>(operatorsMax);
  const noteTraffic = async (caller: OperatorCaller): Promise<void> => {
    const nowMs = clock.monotonicMs();
    if (nowMs - (noted.get(caller.id) ?? Number.NEGATIVE_INFINITY) < noteAgainMs) return;
    noted.set(caller.id, nowMs);
    await audited(audit, { action: "look", target: "traffic", caller, detail: "" }, async () => {});
  };
  /** All who watch the whole mesh are given one answer, which is rendered once. */
  const whole = new WeakMap<TrafficView, WatchTrafficResponse>();
  const wholeOf = (view: TrafficView): WatchTrafficResponse => {
    const answer = whole.get(view) ?? renderTraffic(view, "");
    whole.set(view, answer);
    return answer;
  };
  return {
    watchTraffic: serverStreaming(async function* (request, context) {
      const caller = await authorize(deps, context);
      refuseUnknownFields(request, "the request");
      await noteTraffic(caller);
      for await (const view of traffic.watch(caller.id, context.signal))
        yield request.service === "" ? wholeOf(view) : renderTraffic(view, request.service);
    }),
    tapCalls: serverStreaming(async function* (request, context) {
      const caller = await authorize(deps, context);
      refuseUnknownFields(request, "the request");
      const filter = readFilter(request.filter ?? all);
      const target = describeTap(filter);
      await audited(audit, { action: "look", target, caller, detail: "tap" }, async () => taps.checkRoom());
      for await (const { calls, ...batch } of taps.open(filter, caller.id, context.signal))
        yield { ...batch, calls: [...calls] };
    }),
  };
}

function readFilter(filter: TapFilter): TapFilter {
  try {
    return parseTapFilter(filter);
  } catch (error) {
    throw new AshlarError("invalid_argument", `filter: ${messageOf(error)}`, { cause: error });
  }
}

/** Returns the traffic to or from `service`; "": all traffic. */
function renderTraffic(view: TrafficView, service: string): WatchTrafficResponse {
  const { timeMs, windowMs, pairs, proxies, answering, silent } = view;
  const asked = service === "" ? pairs : pairs.filter((pair) => pair.caller === service || pair.service === service);
  return {
    timeMs,
    windowMs: Math.round(windowMs),
    pairs: asked.slice(0, pairsMax).map((pair) => ({ ...pair, codes: [...pair.codes] })),
    leftOff: Math.max(0, asked.length - pairsMax),
    proxies,
    answering,
    silent: silent.slice(0, silentMax),
  };
}

import { LookDesk, type LookDeskDeps } from "./look-desk.js";
import { Taps } from "./taps.js";
import { Traffic, type TrafficDeps } from "./traffic.js";

/** Opens what operators use to watch calls. */
export function openLooking(deps: LookDeskDeps & Omit<TrafficDeps, "desk">): { traffic: Traffic; taps: Taps } {
  const desk = new LookDesk(deps);
  return { traffic: new Traffic({ ...deps, desk }), taps: new Taps({ ...deps, desk }) };
}

/** The states of one registration at the agent, as a pure machine. The loop performs its effects. */
import { unreachable } from "../../core/errors.js";

export type AgentState =
  | { readonly kind: "new" }
  /** A connection to the application's socket is being tried. */
  | { readonly kind: "probing" }
  | {
      readonly kind: "registered";
      readonly heardMs: number;
      readonly pinged: boolean;
      /** Whether the log has reported that the application has been silent for long. */
      readonly toldSilent: boolean;
    }
  /** The application gets no new calls; its open calls finish. */
  | { readonly kind: "leaving" }
  | { readonly kind: "ended" };

export type AgentEvent =
  | { readonly kind: "registration" }
  | { readonly kind: "reachable"; readonly nowMs: number }
  | { readonly kind: "unreachable"; readonly reason: string }
  | { readonly kind: "pong"; readonly nowMs: number }
  | { readonly kind: "leave" }
  /** `lostMs`: the milliseconds since the last tick during which the proxy did not read what the application sent. */
  | { readonly kind: "tick"; readonly nowMs: number; readonly lostMs: number }
  | { readonly kind: "drained" }
  /** The application's socket refused a call. */
  | { readonly kind: "refused" }
  /** The application sends nothing more, and may still listen. */
  | { readonly kind: "half-closed" }
  /** The stream has ended, whoever ended it. */
  | { readonly kind: "gone" };

export type AgentEffect =
  | { readonly kind: "probe" }
  | { readonly kind: "register" }
  | { readonly kind: "ping" }
  | { readonly kind: "warn-silent"; readonly silentMs: number }
  | { readonly kind: "say-heard"; readonly silentMs: number }
  /** Take the application out of routing, and report when its last call has ended. */
  | { readonly kind: "drain" }
  | { readonly kind: "unregister" }
  | { readonly kind: "say-drained" }
  | { readonly kind: "fail"; readonly code: "invalid_argument" | "unavailable" | "stale"; readonly reason: string };

export interface AgentStep {
  readonly state: AgentState;
  readonly effects: readonly AgentEffect[];
}

export const newRegistration: AgentState = { kind: "new" };
const ended: AgentState = { kind: "ended" };
const to = (state: AgentState, ...effects: readonly AgentEffect[]): AgentStep => ({ state, effects });

/**
 * Applies one event. An application is asked for a sign of life after a third of `leaseMs`. One that is silent for
 * longer is reported in the log and stays registered, because it may be blocked or stopped; if its process ends, its
 * stream over the local socket ends too.
 */
export function step(state: AgentState, event: AgentEvent, leaseMs: number): AgentStep {
  // After an application has left, its further messages are ignored; its open calls still finish.
  if (event.kind === "half-closed" && state.kind !== "leaving") return step(state, { kind: "gone" }, leaseMs);
  switch (state.kind) {
    case "new":
      if (event.kind === "registration") return to({ kind: "probing" }, { kind: "probe" });
      if (event.kind === "gone") return to(ended);
      if (event.kind === "tick") return to(state);
      return to(ended, {
        kind: "fail",
        code: "invalid_argument",
        reason: "the first message has to be a registration",
      });
    case "probing":
      return stepProbing(state, event);
    case "registered":
      return stepRegistered(state, event, leaseMs);
    case "leaving":
      if (event.kind === "drained") return to(ended, { kind: "unregister" }, { kind: "say-drained" });
      if (event.kind === "gone" || event.kind === "refused") return to(ended, { kind: "unregister" });
      return to(state);
    case "ended":
      return to(state);
    default:
      return unreachable(state);
  }
}

function heardAt(nowMs: number): Extract<AgentState, { kind: "registered" }> {
  return { kind: "registered", heardMs: nowMs, pinged: false, toldSilent: false };
}

function stepProbing(state: AgentState, event: AgentEvent): AgentStep {
  switch (event.kind) {
    case "reachable":
      return to(heardAt(event.nowMs), { kind: "register" });
    case "unreachable":
      return to(ended, { kind: "fail", code: "unavailable", reason: event.reason });
    case "leave":
      return to(ended, { kind: "say-drained" });
    case "gone":
      return to(ended);
    default:
      return to(state);
  }
}

function stepRegistered(
  state: Extract<AgentState, { kind: "registered" }>,
  event: AgentEvent,
  leaseMs: number,
): AgentStep {
  switch (event.kind) {
    case "pong":
      if (!state.toldSilent) return to(heardAt(event.nowMs));
      return to(heardAt(event.nowMs), { kind: "say-heard", silentMs: Math.round(event.nowMs - state.heardMs) });
    case "leave":
      return to({ kind: "leaving" }, { kind: "drain" });
    case "tick": {
      const now = event.lostMs === 0 ? state : { ...state, heardMs: state.heardMs + event.lostMs };
      const silentMs = event.nowMs - now.heardMs;
      if (silentMs > leaseMs && !now.toldSilent) {
        return to({ ...now, toldSilent: true }, { kind: "warn-silent", silentMs: Math.round(silentMs) });
      }
      if (silentMs > leaseMs / 3 && !now.pinged) return to({ ...now, pinged: true }, { kind: "ping" });
      return to(now);
    }
    case "registration": {
      const reason = "this stream has registered already";
      return to(ended, { kind: "unregister" }, { kind: "fail", code: "invalid_argument", reason });
    }
    case "refused": {
      const reason = "the application's socket refused a connection";
      return to(ended, { kind: "unregister" }, { kind: "fail", code: "unavailable", reason });
    }
    case "gone":
      return to(ended, { kind: "unregister" });
    default:
      return to(state);
  }
}

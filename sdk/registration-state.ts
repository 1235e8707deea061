/**
 * The states of a registration with the local proxy's agent, as a pure machine. The loop performs the effects and feeds
 * back what happened.
 */
export type RegistrationState =
  | { readonly kind: "idle" }
  | { readonly kind: "opening"; readonly everRegistered: boolean }
  | { readonly kind: "registered"; readonly leaseMs: number }
  | { readonly kind: "waiting"; readonly everRegistered: boolean }
  | { readonly kind: "leaving" }
  | { readonly kind: "left"; readonly drained: boolean }
  | { readonly kind: "refused"; readonly reason: string };

export type RegistrationEvent =
  | { readonly kind: "start" }
  | { readonly kind: "registered"; readonly leaseMs: number }
  | { readonly kind: "ping" }
  | { readonly kind: "drained" }
  /** The stream ended. `permanent`: registering again would give the same answer. */
  | { readonly kind: "ended"; readonly reason: string; readonly permanent: boolean }
  | { readonly kind: "retry-due" }
  | { readonly kind: "leave" }
  /** Draining took longer than allowed. */
  | { readonly kind: "leave-expired" };

export type RegistrationEffect =
  | { readonly kind: "open" }
  | { readonly kind: "pong" }
  | { readonly kind: "send-leave" }
  | { readonly kind: "retry-later"; readonly reason: string }
  /** Sent when the registration was accepted: only then is the next attempt made quickly. */
  | { readonly kind: "reset-backoff" };

export interface RegistrationStep {
  readonly state: RegistrationState;
  readonly effects: readonly RegistrationEffect[];
}

export const idle: RegistrationState = { kind: "idle" };

/** Applies one event. An event that has no meaning in a state changes nothing. */
export function step(state: RegistrationState, event: RegistrationEvent): RegistrationStep {
  switch (state.kind) {
    case "idle":
      if (event.kind === "start") return to({ kind: "opening", everRegistered: false }, { kind: "open" });
      if (event.kind === "leave") return to({ kind: "left", drained: true });
      return to(state);
    case "opening":
      return stepOpening(state, event);
    case "registered":
      return stepRegistered(state, event);
    case "waiting":
      if (event.kind === "retry-due") return to({ ...state, kind: "opening" }, { kind: "open" });
      // nobody routes calls to an application whose proxy is away, so there is nothing to drain
      if (event.kind === "leave") return to({ kind: "left", drained: true });
      return to(state);
    case "leaving":
      if (event.kind === "ping") return to(state, { kind: "pong" });
      if (event.kind === "drained") return to({ kind: "left", drained: true });
      if (event.kind === "ended" || event.kind === "leave-expired") return to({ kind: "left", drained: false });
      return to(state);
    case "left":
    case "refused":
      return to(state);
  }
}

function stepOpening(
  state: Extract<RegistrationState, { kind: "opening" }>,
  event: RegistrationEvent,
): RegistrationStep {
  switch (event.kind) {
    case "registered":
      return to({ kind: "registered", leaseMs: event.leaseMs }, { kind: "reset-backoff" });
    case "ping":
      return to(state, { kind: "pong" });
    case "ended":
      if (event.permanent && !state.everRegistered) return to({ kind: "refused", reason: event.reason });
      return to({ ...state, kind: "waiting" }, { kind: "retry-later", reason: event.reason });
    case "leave":
      return to({ kind: "leaving" }, { kind: "send-leave" });
    default:
      return to(state);
  }
}

function stepRegistered(
  state: Extract<RegistrationState, { kind: "registered" }>,
  event: RegistrationEvent,
): RegistrationStep {
  switch (event.kind) {
    case "registered":
      return to({ kind: "registered", leaseMs: event.leaseMs });
    case "ping":
      return to(state, { kind: "pong" });
    case "ended":
      return to({ kind: "waiting", everRegistered: true }, { kind: "retry-later", reason: event.reason });
    case "leave":
      return to({ kind: "leaving" }, { kind: "send-leave" });
    default:
      return to(state);
  }
}

function to(state: RegistrationState, ...effects: readonly RegistrationEffect[]): RegistrationStep {
  return { state, effects };
}

import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { idle, type RegistrationEvent, type RegistrationState, step } from "../../sdk/registration-state.js";

/** Runs events from the start and gives the last state with all effects, in order. */
function run(...events: RegistrationEvent[]): { state: RegistrationState; effects: string[] } {
  let state = idle;
  const effects: string[] = [];
  for (const event of events) {
    const next = step(state, event);
    state = next.state;
    effects.push(...next.effects.map(({ kind }) => kind));
  }
  return { state, effects };
}

const start: RegistrationEvent = { kind: "start" };
const registered: RegistrationEvent = { kind: "registered", leaseMs: 9 };
const lost: RegistrationEvent = { kind: "ended", reason: "gone", permanent: false };
const refused: RegistrationEvent = { kind: "ended", reason: "other service", permanent: true };
const due: RegistrationEvent = { kind: "retry-due" };
const leave: RegistrationEvent = { kind: "leave" };

describe("registration state", () => {
  test("a registration opens a stream and holds once the agent confirms it", () => {
    expect(run(start, registered)).toEqual({
      state: { kind: "registered", leaseMs: 9 },
      effects: ["open", "reset-backoff"],
    });
  });

  test("a ping is answered by a pong, also while leaving", () => {
    expect(run(start, registered, { kind: "ping" }).effects).toContain("pong");
    expect(run(start, registered, leave, { kind: "ping" }).effects.at(-1)).toBe("pong");
  });

  test("a lost stream is opened again later, as often as it takes", () => {
    const { state, effects } = run(start, registered, lost, due, lost, due, registered);
    expect(state).toEqual({ kind: "registered", leaseMs: 9 });
    expect(effects).toEqual(["open", "reset-backoff", "retry-later", "open", "retry-later", "open", "reset-backoff"]);
  });

  test("a refusal for good ends the first registration", () => {
    expect(run(start, refused).state).toEqual({ kind: "refused", reason: "other service" });
  });

  test("a refusal after the registration held is tried again, for the agent may be on its way back", () => {
    expect(run(start, registered, lost, due, refused).state.kind).toBe("waiting");
  });

  test("leaving waits for the agent to say drained", () => {
    expect(run(start, registered, leave).state.kind).toBe("leaving");
    expect(run(start, registered, leave, { kind: "drained" }).state).toEqual({ kind: "left", drained: true });
  });

  test("leaving ends undrained when the agent goes away or takes too long", () => {
    expect(run(start, registered, leave, lost).state).toEqual({ kind: "left", drained: false });
    expect(run(start, registered, leave, { kind: "leave-expired" }).state).toEqual({ kind: "left", drained: false });
  });

  test("leaving while the agent is away is done at once", () => {
    expect(run(start, lost, leave).state).toEqual({ kind: "left", drained: true });
    expect(run(leave).state).toEqual({ kind: "left", drained: true });
  });

  test("whoever left or was refused never opens a stream again", () => {
    const events: RegistrationEvent[] = [start, registered, { kind: "ping" }, lost, due, refused, leave];
    const anyEvents = fc.array(fc.constantFrom(...events), { maxLength: 30 });
    fc.assert(
      fc.property(anyEvents, anyEvents, (before, after) => {
        const ended = run(start, ...before, registered, leave, { kind: "drained" }).state;
        if (ended.kind !== "left" && ended.kind !== "refused") return true;
        let state: RegistrationState = ended;
        for (const event of after) {
          const next = step(state, event);
          if (next.effects.length > 0) return false;
          state = next.state;
        }
        return state === ended;
      }),
    );
  });
});

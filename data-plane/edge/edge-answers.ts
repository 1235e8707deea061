/** Answers of a gateway to calls that it refuses. */
import { status } from "@grpc/grpc-js";
import type { Answer } from "../proxy/answer.js";

/** The decision and revision that judged a call. */
type JudgedBy = Pick<Answer, "decision" | "revision">;

export function notExposed(method: string, by: JudgedBy): Answer {
  const message = `there is no method ${method.slice(0, 256)} here`;
  return { code: status.UNIMPLEMENTED, message, ...by, reason: "not-exposed" };
}

/** The messages of grpc.health.v1.HealthCheckResponse with gRPC's framing. */
const serving = Buffer.from([0, 0, 0, 0, 2, 8, 1]);
const notServing = Buffer.from([0, 0, 0, 0, 2, 8, 2]);

/** Tells a load balancer whether a listener serves, which it does while policy states it. */
export function healthOf(serves: boolean, revision: number | undefined): Answer {
  const reply = { head: [], trailers: [], bytes: serves ? serving : notServing, code: status.OK, sequence: 0 };
  return { code: status.OK, message: "", revision, decision: undefined, reason: undefined, reply };
}

export function unauthenticated(reason: "certificate" | "token", message: string, by: JudgedBy): Answer {
  return { code: status.UNAUTHENTICATED, message, ...by, reason };
}

export function tooMuch(pushbackMs: number, by: JudgedBy): Answer {
  const message = "too many bytes of this client";
  return { code: status.RESOURCE_EXHAUSTED, message, ...by, reason: "rate-limit", pushbackMs };
}

export function tooOften(pushbackMs: number, by: JudgedBy): Answer {
  const message = "too many calls of this client";
  return { code: status.RESOURCE_EXHAUSTED, message, ...by, reason: "rate-limit", pushbackMs };
}

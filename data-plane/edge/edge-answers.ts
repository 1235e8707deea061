/** Answers of a gateway to calls that may not come in. */
import { status } from "@grpc/grpc-js";
import type { Answer } from "../proxy/answer.js";

export function notExposed(method: string, revision: number): Answer {
  const message = `there is no method ${method.slice(0, 256)} here`;
  return { code: status.UNIMPLEMENTED, message, revision, decision: undefined, reason: "not-exposed" };
}

export function unauthenticated(reason: "certificate" | "token", message: string, revision: number): Answer {
  return { code: status.UNAUTHENTICATED, message, revision, decision: undefined, reason };
}

export function tooOften(pushbackMs: number, revision: number): Answer {
  const message = "too many calls of this client";
  return { code: status.RESOURCE_EXHAUSTED, message, revision, decision: undefined, reason: "rate-limit", pushbackMs };
}

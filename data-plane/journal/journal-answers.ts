/** The answers to callers of journaled writes. */
import { status } from "@grpc/grpc-js";
import { unreachable } from "../../core/errors.js";
import type { WriteEnd } from "../../core/journal/write-steps.js";
import { type Answer, percentEncode } from "../proxy/answer.js";
import { type AppResponse, emptyResponse } from "./app-attempt.js";
import type { CollectedWrite } from "./collected-write.js";
import type { Settled } from "./journal-store.js";
import type { Streamed } from "./streaming-request.js";

/** Returns the proxy's own answer about a write. */
export function rightAnswer(code: status, message: string, revision: number | undefined, sequence?: number): Answer {
  const answer: Answer = { code, message, revision, decision: undefined, reason: "journal" };
  return sequence === undefined || sequence === 0 ? answer : { ...answer, sequence };
}

/** Why the request of a write was refused while it was collected. */
export type NotCollected = Exclude<Streamed["kind"], "whole" | "gone"> | "too-long" | "stream-too-long";

export function notCollectedAnswer(
  why: NotCollected,
  { plan, revision, isForwardedFirst }: Pick<CollectedWrite, "plan" | "revision" | "isForwardedFirst">,
): Answer {
  const { requestBytesMax, streamBytesMax = requestBytesMax } = plan;
  const end = isForwardedFirst
    ? "what the application got was broken off and is no write"
    : "the application was not called";
  const isLong = (message: string): Answer => ({
    ...rightAnswer(status.RESOURCE_EXHAUSTED, message, revision),
    reason: "message-limit",
  });
  switch (why) {
    case "too-long":
      return isLong(`a journaled write has at most ${requestBytesMax} bytes; nothing was appended`);
    case "message-too-long":
      return isLong(`a message of a journaled stream has at most ${requestBytesMax} bytes: ${end}`);
    case "stream-too-long":
      return isLong(`the messages of a journaled stream have at most ${streamBytesMax} bytes: ${end}`);
    case "broken":
      return rightAnswer(status.INVALID_ARGUMENT, `the last message of the request is not whole: ${end}`, revision);
    case "idle":
      return rightAnswer(status.DEADLINE_EXCEEDED, `no message of the request came for too long: ${end}`, revision);
    case "unavailable":
      return rightAnswer(status.UNAVAILABLE, `the journal cannot be reached: ${end}`, revision);
    default:
      return unreachable(why);
  }
}

/** Returns the application's response as an answer. */
export function replyAnswer(response: AppResponse, sequence: number, revision: number | undefined): Answer {
  const { head, trailers, bytes, code } = response;
  if (bytes === undefined && response.isRelayed !== true) {
    const message = `the write was applied, and the proxy had no room for its response of ${response.length} bytes`;
    return { ...rightAnswer(status.RESOURCE_EXHAUSTED, message, revision, sequence), reason: "memory" };
  }
  const reply = { head, trailers, bytes: bytes ?? new Uint8Array(), code, sequence };
  return { code: response.code, message: "", revision, decision: undefined, reason: undefined, reply };
}

export function endAnswer(end: WriteEnd<Settled>, revision: number | undefined): Answer {
  const say = (code: status, message: string, sequence?: number): Answer =>
    rightAnswer(code, message, revision, sequence);
  switch (end.kind) {
    case "recorded":
      return recordedAnswer(end.outcome, end.sequence, revision);
    case "conflict": {
      const { head } = end;
      const what = head === 0 ? "" : ` (sequence ${head} is the last)`;
      return say(status.ABORTED, `another write of this order key came first${what}: read again`, head);
    }
    case "other-request":
      return say(
        status.FAILED_PRECONDITION,
        `this idempotency key was used for another request (sequence ${end.sequence})`,
        end.sequence,
      );
    case "in-flight":
      return say(
        status.ABORTED,
        `a call with this idempotency key is under way (sequence ${end.sequence})`,
        end.sequence,
      );
    case "blocked": {
      const message = `sequence ${end.by}, which comes before it, has no outcome: the application was not called`;
      return say(status.UNAVAILABLE, message, end.sequence);
    }
    case "taken": {
      const message =
        `sequence ${end.sequence} of the journal has the message id of this idempotency key and is no entry of it: the ` +
        "application was not called; a proxy of the service, or who has its credential, wrote it";
      return say(status.UNAVAILABLE, message, end.sequence);
    }
    case "not-forwarded":
      return say(status.UNAVAILABLE, "the application is not reached", end.sequence);
    case "applied":
    case "unknown":
      return say(status.UNAVAILABLE, `outcome unknown (sequence ${end.sequence})`, end.sequence);
    case "unavailable":
      return say(
        status.UNAVAILABLE,
        "the journal cannot be reached, or not be read in time: the application was not called",
      );
    default:
      return unreachable(end);
  }
}

function recordedAnswer(settled: Settled, sequence: number, revision: number | undefined): Answer {
  if (settled.kind === "resolution") {
    const { code, message } = settled.resolution;
    const trailers = code === 0 ? [] : [{ name: "grpc-message", value: Buffer.from(percentEncode(message)) }];
    return replyAnswer({ code, head: [], trailers, ...emptyResponse }, sequence, revision);
  }
  const { code, head, trailers, response, responseBytes, responseDigest } = settled.outcome;
  if (response === undefined && responseBytes > 0) {
    const message = `the write was applied, and its response of ${responseBytes} bytes was too long to be kept (sequence ${sequence})`;
    return rightAnswer(status.RESOURCE_EXHAUSTED, message, revision, sequence);
  }
  const bytes = response ?? new Uint8Array();
  return replyAnswer({ code, head, trailers, bytes, digest: responseDigest, length: bytes.length }, sequence, revision);
}

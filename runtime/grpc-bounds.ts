/** Bounds how long a request may take to arrive, and how many bytes of answers may remain unread. */
import { ServerInterceptingCall, type ServerInterceptingCallInterface, type ServerInterceptor } from "@grpc/grpc-js";
import { AshlarError } from "../core/errors.js";
import { networkOf } from "./connection-gate.js";
import { toGrpcStatus } from "./grpc-status.js";
import type { UnreadAnswer, UnreadAnswers } from "./unread-answers.js";

/** Refuses calls whose request has not arrived `msMax` after its headers, except calls that stream their requests. */
export function boundRequests(msMax: number): ServerInterceptor {
  return (method, call: ServerInterceptingCallInterface) => {
    let timer: NodeJS.Timeout | undefined;
    const whole = (): void => clearTimeout(timer);
    const late = (): void =>
      call.sendStatus(
        toGrpcStatus(new AshlarError("deadline", `the request did not come whole within ${msMax / 1000} s`)),
      );
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, go) => {
            if (!method.requestStream) timer = setTimeout(late, msMax).unref();
            go(metadata);
          },
          onReceiveHalfClose: (go) => {
            whole();
            go();
          },
          onCancel: whole,
        }),
      sendStatus: (status, next) => {
        whole();
        next(status);
      },
    });
  };
}

/** Answers up to this size are not counted; the number of streams bounds them. */
const smallBytes = 16 * 1024;

export interface AnswerBounds {
  readonly unread: UnreadAnswers;
  /** The milliseconds after which a connection that has not read an answer is dropped. */
  readonly msMax: number;
  /** Ends the connection from the address `peer`, "HOST:PORT". */
  readonly drop: (peer: string) => void;
}

/** Counts answers of more than 16 KiB as held until they are read, within bounds. */
export function boundAnswers({ unread, msMax, drop }: AnswerBounds): ServerInterceptor {
  return ({ responseSerialize }, call: ServerInterceptingCallInterface) => {
    const releases: (() => void)[] = [];
    const hold = (bytes: number): void => {
      const peer = call.getPeer();
      const answer: UnreadAnswer = {
        network: networkOf(peer.slice(0, peer.lastIndexOf(":"))),
        bytes,
        drop: () => drop(peer),
      };
      const timer = setTimeout(answer.drop, msMax).unref();
      releases.push(() => {
        clearTimeout(timer);
        unread.release(answer);
      });
      unread.hold(answer);
    };
    return new ServerInterceptingCall(call, {
      // this also runs if the stream ended well
      start: (next) => next({ onCancel: () => releases.splice(0).forEach((release) => void release()) }),
      sendMessage: (message, next) => {
        const { length } = responseSerialize(message);
        if (length > smallBytes) hold(length);
        next(message);
      },
    });
  };
}

/** How long the message of a call may take to come. */
import { ServerInterceptingCall, type ServerInterceptingCallInterface, type ServerInterceptor } from "@grpc/grpc-js";
import { AshlarError } from "../core/errors.js";
import { toGrpcStatus } from "./grpc-status.js";

/** The whole request has to be there `msMax` after its headers; calls that stream requests excepted. */
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

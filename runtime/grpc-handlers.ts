/** Turns handlers that are async functions, with a caller and an AbortSignal, into what grpc-js expects. */

import type {
  ServerDuplexStream,
  ServerUnaryCall,
  ServerWritableStream,
  ServiceDefinition,
  sendUnaryData,
  UntypedHandleCall,
} from "@grpc/grpc-js";
import { AshlarError, messageOf, unreachable } from "../core/errors.js";
import type { SpiffeId } from "../core/identity.js";
import { fieldsCountMax, hasMoreFields } from "../core/wire/strict.js";
import { untilAborted } from "./abort.js";
import { CallerWatch } from "./caller-watch.js";
import { toGrpcStatus } from "./grpc-status.js";
import type { Logger } from "./log.js";
import type { Svid } from "./tls-identity.js";

/** The caller of a request and its deadline. */
export interface CallContext {
  /** The caller's identity from the verified client certificate; undefined if there is none. */
  readonly caller: SpiffeId | undefined;
  /** The serial number of the certificate in lower-case hexadecimal; undefined: there is no certificate. */
  readonly certificateSerial: string | undefined;
  /** When that certificate expires, in Unix milliseconds; undefined: there is no certificate. */
  readonly certificateExpiresMs: number | undefined;
  /** Set if the caller came through a session of the console; with `readOnly` it may read and not change anything. */
  readonly console?: { readonly readOnly: boolean };
  /** The peer's address "HOST:PORT", or "socket" for a Unix socket. */
  readonly source: string;
  /** "/package.Service/Method". */
  readonly method: string;
  /** Aborted when the caller cancels, goes away or its deadline passes. */
  readonly signal: AbortSignal;
  /** The deadline in Unix milliseconds; undefined: the caller set none. */
  readonly deadlineMs: number | undefined;
}

export interface UnaryMethod<Request, Response> {
  readonly kind: "unary";
  readonly handle: (request: Request, context: CallContext) => Promise<Response> | Response;
}

export interface ServerStreamingMethod<Request, Response> {
  readonly kind: "server-streaming";
  readonly handle: (request: Request, context: CallContext) => AsyncIterable<Response>;
}

export interface BidiMethod<Request, Response> {
  readonly kind: "bidi";
  readonly handle: (call: ServerDuplexStream<Request, Response>, context: CallContext) => Promise<void> | void;
}

/** The implementation of a service: one method of the right kind for each method of the definition. */
export type Implementation<Definition> = {
  readonly [Name in keyof Definition]: MethodOf<Definition[Name]>;
};

type MethodOf<Method> = Method extends {
  readonly requestStream: infer RequestStream;
  readonly responseStream: infer ResponseStream;
  readonly requestDeserialize: (bytes: Buffer) => infer Request;
  readonly responseSerialize: (value: infer Response) => Buffer;
}
  ? RequestStream extends true
    ? BidiMethod<Request, Response>
    : ResponseStream extends true
      ? ServerStreamingMethod<Request, Response>
      : UnaryMethod<Request, Response>
  : never;

type AnyMethod = UnaryMethod<never, unknown> | ServerStreamingMethod<never, unknown> | BidiMethod<never, never>;

/** A service definition with its implementation, ready for `startGrpcServer`. */
export interface BoundService {
  readonly definition: ServiceDefinition;
  readonly implementation: Readonly<Record<string, AnyMethod>>;
}

/** A request that could not be decoded. The answer says so with details; grpc-js would answer INTERNAL. */
class MalformedRequest {
  readonly why: string;

  constructor(error: unknown) {
    this.why = messageOf(error);
  }
}

/** Returns `definition` with deserializers that never throw: malformed requests reach the handler's wrapper. */
export function readingTolerantly(definition: ServiceDefinition): ServiceDefinition {
  return Object.fromEntries(
    Object.entries(definition).map(([name, method]) => {
      if (method.requestStream) return [name, method];
      const requestDeserialize = (bytes: Buffer): unknown => {
        try {
          if (hasMoreFields(bytes, fieldsCountMax)) throw new Error(`more than ${fieldsCountMax} fields`);
          return method.requestDeserialize(bytes);
        } catch (error) {
          return new MalformedRequest(error);
        }
      };
      return [name, { ...method, requestDeserialize }];
    }),
  );
}

/** Returns the request of a call; fails with `invalid_argument` if it could not be decoded. */
function requestOf<Request>(call: { readonly request: Request; getPath(): string }): Request {
  if (!(call.request instanceof MalformedRequest)) return call.request;
  const { why } = call.request;
  throw new AshlarError("invalid_argument", `the bytes sent are no request of ${call.getPath()}: ${why}`);
}

/** Binds an implementation to its definition. A missing or wrong method does not compile. */
export function bindService<Definition extends object>(
  definition: Definition,
  implementation: Implementation<Definition>,
): BoundService {
  return {
    definition: definition as unknown as ServiceDefinition,
    implementation: implementation as unknown as Record<string, AnyMethod>,
  };
}

/** One request and one response. What the handler throws becomes a status; unknown errors, "internal error". */
export function unary<Request, Response>(
  handle: UnaryMethod<Request, Response>["handle"],
): UnaryMethod<Request, Response> {
  return { kind: "unary", handle };
}

/** One request and many responses. The iterable is returned (its `finally` runs) when the caller goes away. */
export function serverStreaming<Request, Response>(
  handle: ServerStreamingMethod<Request, Response>["handle"],
): ServerStreamingMethod<Request, Response> {
  return { kind: "server-streaming", handle };
}

/** Many requests and many responses, on the raw call. The stream ends when `handle` ends it or fails. */
export function bidi<Request, Response>(
  handle: BidiMethod<Request, Response>["handle"],
): BidiMethod<Request, Response> {
  return { kind: "bidi", handle };
}

/** Returns the caller's identity; fails with `unauthenticated` if the call has none. */
export function requireCaller(context: CallContext): SpiffeId {
  if (context.caller === undefined) throw new AshlarError("unauthenticated", "a client certificate is required");
  return context.caller;
}

/** What the wrappers need of the server. */
export interface CallJudge {
  readonly log: Logger;
  readonly nowMs: () => number;
  readonly verifyPeer: (certificate: Uint8Array) => Svid;
  /** The milliseconds between two judgements of the caller of an open call. */
  readonly judgeAgainMs: number;
}

type AnyCall = Pick<
  ServerUnaryCall<unknown, unknown>,
  "cancelled" | "getPeer" | "getPath" | "getDeadline" | "getAuthContext"
> & { on(event: "cancelled", listener: () => void): unknown };

/** Returns the implementation in the form that grpc-js expects. */
export function toGrpcImplementation(
  implementation: Readonly<Record<string, AnyMethod>>,
  judge: CallJudge,
): Record<string, UntypedHandleCall> {
  return Object.fromEntries(
    Object.entries(implementation).map(([name, method]) => [name, toGrpcHandler(method, judge)]),
  );
}

function toGrpcHandler(method: AnyMethod, judge: CallJudge): UntypedHandleCall {
  switch (method.kind) {
    case "unary":
      return ((call: ServerUnaryCall<never, unknown>, callback: sendUnaryData<unknown>) => {
        void runUnary(method, call, callback, judge);
      }) as UntypedHandleCall;
    case "server-streaming":
      return ((call: ServerWritableStream<never, unknown>) => {
        void runServerStreaming(method, call, judge);
      }) as UntypedHandleCall;
    case "bidi":
      return ((call: ServerDuplexStream<never, never>) => {
        void runBidi(method, call, judge);
      }) as UntypedHandleCall;
    default:
      return unreachable(method);
  }
}

async function runUnary(
  method: UnaryMethod<never, unknown>,
  call: ServerUnaryCall<never, unknown>,
  callback: sendUnaryData<unknown>,
  judge: CallJudge,
): Promise<void> {
  const controller = new AbortController();
  const caller = new CallerWatch(controller, judge.judgeAgainMs);
  try {
    const context = createContext(call, judge, controller, caller);
    callback(null, await Promise.race([method.handle(requestOf(call), context), caller.refused]));
  } catch (error) {
    callback(statusFor(error, call, judge));
  } finally {
    caller.end();
  }
}

async function runServerStreaming(
  method: ServerStreamingMethod<never, unknown>,
  call: ServerWritableStream<never, unknown>,
  judge: CallJudge,
): Promise<void> {
  const controller = new AbortController();
  const caller = new CallerWatch(controller, judge.judgeAgainMs);
  try {
    const context = createContext(call, judge, controller, caller);
    const responses = method.handle(requestOf(call), context)[Symbol.asyncIterator]();
    for (;;) {
      // this also ends a handler that waits without looking at the signal
      const next = await untilAborted(responses.next(), context.signal);
      if (next === undefined || context.signal.aborted) {
        responses.return?.()?.catch((error: unknown) => logFault(error, call, judge));
        return caller.throwIfRefused();
      }
      if (next.done === true) break;
      if (!call.write(next.value)) await untilAborted(drained(call), context.signal);
    }
    call.end();
  } catch (error) {
    if (!call.cancelled) call.emit("error", statusFor(error, call, judge));
  } finally {
    caller.end();
  }
}

async function runBidi(
  method: BidiMethod<never, never>,
  call: ServerDuplexStream<never, never>,
  judge: CallJudge,
): Promise<void> {
  try {
    await method.handle(call, createContext(call, judge, new AbortController()));
  } catch (error) {
    if (!call.cancelled) call.emit("error", statusFor(error, call, judge));
  }
}

function drained(call: ServerWritableStream<never, unknown>): Promise<undefined> {
  return new Promise((resolve) => call.once("drain", () => resolve(undefined)));
}

/** `watch` judges the caller again during the call; left out for streamed requests, which have no certificate. */
function createContext(call: AnyCall, judge: CallJudge, controller: AbortController, watch?: CallerWatch): CallContext {
  if (call.cancelled) controller.abort();
  call.on("cancelled", () => controller.abort());
  const certificate = call.getAuthContext().sslPeerCertificate?.raw;
  const svid = certificate === undefined ? undefined : judge.verifyPeer(certificate);
  if (certificate !== undefined) watch?.begin(() => void judge.verifyPeer(certificate));
  const deadline = call.getDeadline();
  const deadlineMs = deadline instanceof Date ? deadline.getTime() : deadline;
  return {
    caller: svid?.spiffeId,
    certificateSerial: svid?.serial,
    certificateExpiresMs: svid?.notAfterMs,
    source: sourceOf(call.getPeer()),
    method: call.getPath(),
    signal: controller.signal,
    deadlineMs: Number.isFinite(deadlineMs) ? deadlineMs : undefined,
  };
}

/** Returns "HOST:PORT" of a peer, or "socket". grpc-js names other peers "unknown" or by their socket's path. */
function sourceOf(peer: string): string {
  return /:\d+$/.test(peer) ? peer : "socket";
}

function statusFor(error: unknown, call: AnyCall, judge: CallJudge): ReturnType<typeof toGrpcStatus> & Error {
  logFault(error, call, judge);
  const status = toGrpcStatus(error);
  return Object.assign(new Error(status.details), status);
}

function logFault(error: unknown, call: AnyCall, { log }: CallJudge): void {
  if (error instanceof AshlarError && error.code !== "internal") return;
  const stack = error instanceof Error ? error.stack : undefined;
  log.error("a handler failed", { method: call.getPath(), error: messageOf(error), stack });
}

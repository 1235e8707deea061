/** gRPC calls as promises and async iterables, which fail with an AshlarError and nothing else. */

import {
  type CallOptions,
  type ChannelCredentials,
  Client,
  type ClientOptions,
  type ClientReadableStream,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import { AshlarError, messageOf } from "../core/errors.js";
import { onAbort } from "./abort.js";
import { fromServiceError } from "./grpc-status.js";

export interface GrpcClientOptions {
  /** "HOST:PORT" or "unix:PATH". */
  readonly address: string;
  readonly credentials: ChannelCredentials;
  /** The most bytes of a message that is received, 16 MiB by default. */
  readonly messageBytesMax?: number;
  /** Further grpc-js channel options. */
  readonly options?: Partial<ClientOptions>;
}

/** A method of a generated service definition, such as `JoinServiceService.join`. */
export interface MethodDescription<Request, Response> {
  readonly path: string;
  readonly requestSerialize: (value: Request) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
}

export interface CallLimits {
  /** The deadline of the call, which the server is told. */
  readonly timeoutMs: number;
  /** Cancels the call, which then fails with `unavailable`. */
  readonly signal?: AbortSignal;
}

/**
 * Opens a channel, which connects on the first call. Close it with `close()`. HTTP proxies that the environment names
 * are not used.
 */
export function connectGrpc({ address, credentials, messageBytesMax, options }: GrpcClientOptions): Client {
  return new Client(address, credentials, {
    "grpc.max_receive_message_length": messageBytesMax ?? 16 * 1024 * 1024,
    "grpc.enable_http_proxy": 0,
    "grpc.enable_retries": 0,
    "grpc.service_config_disable_resolution": 1,
    "grpc.use_local_subchannel_pool": 1, // a channel's credentials must not be served by another's connection
    "grpc.initial_reconnect_backoff_ms": 200,
    "grpc.max_reconnect_backoff_ms": 5000,
    "grpc.enable_channelz": 0,
    ...options,
  });
}

/** Calls a unary method. Fails with an AshlarError whose code is the server's. */
export function callUnary<Request, Response>(
  client: Client,
  method: MethodDescription<Request, Response>,
  request: Request,
  limits: CallLimits,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    const { signal } = limits;
    if (signal?.aborted) return reject(cancelled());
    let off: (() => void) | undefined;
    const call = client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      new Metadata(),
      callOptions(limits),
      (error, response) => {
        off?.();
        if (error !== null) reject(toAshlarError(error, signal));
        else if (response === undefined) reject(new AshlarError("internal", `${method.path} answered nothing`));
        else resolve(response);
      },
    );
    off = signal && onAbort(signal, () => call.cancel());
  });
}

export interface StreamLimits extends Partial<CallLimits> {
  /** The milliseconds to wait for each answer. After that the iteration fails with `deadline`. */
  readonly answerMs?: number;
}

/**
 * Calls a server-streaming method. Leaving the loop cancels the call; an aborted `signal` ends the
 * iteration with `unavailable`. Without `timeoutMs` the stream may last for ever.
 */
export async function* callServerStream<Request, Response>(
  client: Client,
  method: MethodDescription<Request, Response>,
  request: Request,
  limits: StreamLimits,
): AsyncGenerator<Response, void, undefined> {
  const { signal } = limits;
  if (signal?.aborted) throw cancelled();
  const call: ClientReadableStream<Response> = client.makeServerStreamRequest(
    method.path,
    method.requestSerialize,
    method.responseDeserialize,
    request,
    new Metadata(),
    callOptions(limits),
  );
  const off = signal && onAbort(signal, () => call.cancel());
  try {
    const answers: AsyncIterator<Response> = call[Symbol.asyncIterator]();
    for (;;) {
      const { done, value } = await within(answers.next(), limits.answerMs);
      if (done === true) return;
      yield value;
    }
  } catch (error) {
    throw toAshlarError(error, signal);
  } finally {
    off?.();
    call.on("error", () => {}); // the cancellation that follows is our own
    call.cancel();
  }
}

/** Waits at most `answerMs` of real time for an answer. The time that the reader spends on it does not count. */
async function within<Answer>(answer: Promise<Answer>, answerMs: number | undefined): Promise<Answer> {
  if (answerMs === undefined) return answer;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new AshlarError("deadline", "no answer in time")), answerMs);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
    answer.catch(() => {}); // the result of an abandoned call is ignored
  }
}

/** Real time, not an injected clock: grpc-js counts the deadline down itself. */
function callOptions({ timeoutMs }: Partial<CallLimits>): CallOptions {
  return timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs };
}

function cancelled(): AshlarError {
  return new AshlarError("unavailable", "the call was cancelled");
}

function toAshlarError(error: unknown, signal: AbortSignal | undefined): AshlarError {
  if (signal?.aborted) return cancelled();
  if (error instanceof AshlarError) return error;
  if (isServiceError(error)) return fromServiceError(error);
  return new AshlarError("internal", messageOf(error), { cause: error });
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && typeof error.code === "number" && "details" in error;
}

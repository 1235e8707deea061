/** The events of another service's journal, as an endless iteration that reconnects by itself. */
import { credentials, ServerCredentials, type ServiceError, status } from "@grpc/grpc-js";
import { AshlarError, type ErrorCode } from "../core/errors.js";
import { type FollowResponse, JournalFeedServiceClient } from "../proto/gen/ashlar/v1/feed.js";
import { onAbort } from "../runtime/abort.js";
import { Backoff } from "../runtime/backoff.js";
import type { Clock } from "../runtime/clock.js";
import { clientArguments } from "./client-arguments.js";

export interface EventOptions {
  /** The first position: `next` of the last event that was processed. Default: the first one that the journal keeps. */
  readonly from?: number;
  /** Only writes with one of these order keys, at most 1000 keys. Default: all writes. */
  readonly keys?: readonly string[];
  /** Ends the iteration when it aborts. */
  readonly signal?: AbortSignal;
}

/**
 * A method as generated clients (`LedgerService.transfer`) and those of proto-loader (`Ledger.service.Transfer`)
 * describe it.
 */
export interface EventMethod<Request, Response> {
  readonly path: string;
  readonly requestDeserialize: (bytes: Buffer) => Request;
  readonly responseDeserialize: (bytes: Buffer) => Response;
}

/** A write that the application answered, or that an operator declared to be applied. */
export interface MeshEvent {
  /** The sequence of the write, which the application received as `ashlar-sequence`. */
  readonly sequence: number;
  /** The position of the write's outcome in the journal. Events come in the order of their positions. */
  readonly position: number;
  /**
   * Where to continue after this event was processed: store it together with what you made of the event, and give it as
   * `from`.
   */
  readonly next: number;
  readonly time: Date;
  /** The SPIFFE ID of the calling service, and the end user ("": none). */
  readonly caller: string;
  readonly user: string;
  /** "package.Service/Method". */
  readonly method: string;
  /** The idempotency key and the order key; "": none. */
  readonly key: string;
  readonly order: string;
  readonly revision: number;
  readonly traceId: string;
  /** The gRPC status code and message of the outcome. */
  readonly code: number;
  readonly message: string;
  /** The encoded messages; `requests` has more than one if the client streamed. */
  readonly requests: readonly Buffer[];
  /** Empty if the call failed, or if the journal does not have the response (`responseKept`). */
  readonly responses: readonly Buffer[];
  readonly responseKept: boolean;
  /** True if an operator declared the write to be applied, so that the application's answer is not known. */
  readonly resolved: boolean;
  /** True if the messages lack private fields. */
  readonly withheld: boolean;
  /**
   * Returns the decoded request and response (undefined: there is none) if the event is of this method, otherwise
   * undefined. Fails with `not_supported` if the messages are compressed in a way that the proxy could not unpack.
   */
  as<Request, Response>(
    method: EventMethod<Request, Response>,
  ): { readonly request: Request; readonly response: Response | undefined } | undefined;
}

/** The events of a journal. Only one iteration may run at a time. */
export interface EventFeed extends AsyncIterable<MeshEvent> {
  /**
   * Where the iteration continues: after all events whose successor was asked for, and after records that are no
   * events.
   */
  readonly next: number;
}

export interface EventFeedDeps {
  readonly clock: Clock;
  readonly outbound: string;
  /** Aborts when the application leaves the mesh. */
  readonly left: AbortSignal;
}

const retry = { msMin: 50, msMax: 5000 };
const messageBytesMax = 8 * 1024 * 1024;

/** Statuses after which asking again would give the same answer. */
const final: Readonly<Partial<Record<number, ErrorCode>>> = {
  [status.INVALID_ARGUMENT]: "invalid_argument",
  [status.NOT_FOUND]: "not_found",
  [status.PERMISSION_DENIED]: "denied",
  [status.FAILED_PRECONDITION]: "stale",
  [status.UNIMPLEMENTED]: "not_supported",
  [status.UNAUTHENTICATED]: "unauthenticated",
};

/** Opens the events of a service. Fails with `invalid_argument`; see `Mesh.events`. */
export function openEventFeed(deps: EventFeedDeps, service: string, options: EventOptions): EventFeed {
  const { from = 0 } = options;
  if (!Number.isSafeInteger(from) || from < 0)
    throw new AshlarError("invalid_argument", `events of ${service}: from is a position, 1 or more`);
  return new FollowedFeed(deps, service, { ...options, from });
}

class FollowedFeed implements EventFeed {
  readonly #deps: EventFeedDeps;
  readonly #service: string;
  readonly #keys: readonly string[];
  readonly #signal: AbortSignal;
  #next: number;

  constructor(deps: EventFeedDeps, service: string, { from, keys = [], signal }: EventOptions & { from: number }) {
    this.#deps = deps;
    this.#service = service;
    this.#keys = keys;
    this.#signal = signal === undefined ? deps.left : AbortSignal.any([deps.left, signal]);
    this.#next = from;
  }

  get next(): number {
    return this.#next;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<MeshEvent> {
    const { clock, outbound } = this.#deps;
    const [address, channel, settings] = clientArguments({ credentials, ServerCredentials }, outbound, this.#service);
    const options = { ...settings, "grpc.max_receive_message_length": messageBytesMax };
    const client = new JournalFeedServiceClient(address, channel, options);
    const backoff = new Backoff(retry, Math.random);
    try {
      while (!this.#signal.aborted) {
        const call = client.follow({ from: this.#next, keys: [...this.#keys] });
        const off = onAbort(this.#signal, () => call.cancel());
        try {
          for await (const response of call as AsyncIterable<FollowResponse>) {
            backoff.reset();
            if (response.event !== undefined) yield readEvent(response.event, response.next);
            this.#next = response.next;
          }
        } catch (error) {
          if (this.#signal.aborted) return;
          throwIfFinal(error, this.#service);
        } finally {
          off();
          call.cancel();
        }
        await clock.sleep(backoff.nextMs(), this.#signal);
      }
    } finally {
      client.close();
    }
  }
}

function throwIfFinal(error: unknown, service: string): void {
  const { code, details } = error as Partial<ServiceError>;
  const known = code === undefined ? undefined : final[code];
  if (known !== undefined) throw new AshlarError(known, `events of ${service}: ${details}`, { cause: error });
  if (code === undefined) throw error;
}

function readEvent(event: NonNullable<FollowResponse["event"]>, next: number): MeshEvent {
  const { sequence, position, caller, user, method, key, order, revision, traceId, code, message } = event;
  const { request: requests, response: responses, responseKept, resolved, withheld } = event;
  const encoding = [event.requestEncoding, event.responseEncoding].find((each) => each !== "");
  return {
    ...{ sequence, position, next, time: new Date(event.timeMs), caller, user, method, key, order, revision, traceId },
    ...{ code, message, requests, responses, responseKept, resolved, withheld },
    as: (asked) => {
      if (asked.path !== `/${method}`) return undefined;
      if (encoding !== undefined)
        throw new AshlarError("not_supported", `event ${position}: its messages are compressed (${encoding})`);
      const [request = Buffer.alloc(0)] = requests;
      const [response] = responses;
      return {
        request: asked.requestDeserialize(request),
        response: response === undefined ? undefined : asked.responseDeserialize(response),
      };
    },
  };
}

/**
 * Calls methods of the admin API within this process on behalf of a session of the console. The handlers are those of
 * the gRPC listener, and so are authorization, audit and approvals.
 */
import { AshlarError, isAshlarError, messageOf } from "../../core/errors.js";
import { fieldsCountMax, hasMoreFields } from "../../core/wire/strict.js";
import { untilAborted } from "../../runtime/abort.js";
import type { BoundService, CallContext } from "../../runtime/grpc-handlers.js";
import { tellable } from "../../runtime/grpc-status.js";
import type { Logger } from "../../runtime/log.js";
import { createAdminJson, type JsonMethod, type JsonValue } from "./admin-json.js";
import type { Session } from "./sessions.js";

export interface MethodCallsDeps {
  readonly service: BoundService;
  readonly log: Logger;
}

/** A request of a session. */
export interface SessionCall {
  readonly session: Session;
  /** The browser's address, "HOST:PORT". */
  readonly source: string;
  /** Aborts when the browser goes away or the session ends. */
  readonly signal: AbortSignal;
}

export class MethodCalls {
  readonly #deps: MethodCallsDeps;
  readonly #methods = createAdminJson();
  /** Answers of streams as text, while their handlers keep them. */
  readonly #texts = new WeakMap<object, string>();

  constructor(deps: MethodCallsDeps) {
    this.#deps = deps;
  }

  /** Returns the answer of a unary method. Fails with an AshlarError that the browser may see. */
  async unary(name: string, request: unknown, call: SessionCall): Promise<JsonValue> {
    const method = this.#find(name, false);
    const bound = this.#deps.service.implementation[method.handlerName];
    try {
      if (bound?.kind !== "unary") throw new AshlarError("internal", `${name} is not bound as a unary method`);
      const answer = await bound.handle(this.#read(method, request), contextOf(name, call));
      return this.#render(method, answer);
    } catch (error) {
      throw this.#told(error, name);
    }
  }

  /**
   * The answers of a method that streams, as JSON texts, until `call.signal` aborts; one that a handler gives to
   * several streams is rendered once. Fails likewise.
   */
  async *stream(name: string, request: unknown, call: SessionCall): AsyncGenerator<string, void, undefined> {
    const method = this.#find(name, true);
    const bound = this.#deps.service.implementation[method.handlerName];
    try {
      if (bound?.kind !== "server-streaming") throw new AshlarError("internal", `${name} is not bound as a stream`);
      const answers = bound.handle(this.#read(method, request), contextOf(name, call))[Symbol.asyncIterator]();
      try {
        for (;;) {
          // this also ends a handler that waits without looking at the signal
          const next = await untilAborted(answers.next(), call.signal);
          if (next === undefined || next.done === true) return;
          yield this.#textOf(method, next.value as object);
        }
      } finally {
        answers.return?.()?.catch((error: unknown) => this.#told(error, name));
      }
    } catch (error) {
      throw this.#told(error, name);
    }
  }

  /** Finds a method. Fails with `not_found`. */
  #find(name: string, streams: boolean): JsonMethod {
    const method = this.#methods.get(name);
    if (method === undefined) throw new AshlarError("not_found", `the admin API has no method ${name.slice(0, 80)}`);
    if (method.streams === streams) return method;
    const where = method.streams ? "GET /api/stream/" : "POST /api/";
    throw new AshlarError("invalid_argument", `${name} is asked with ${where}${name}`);
  }

  #read(method: JsonMethod, request: unknown): never {
    const bytes = Buffer.from(method.encodeRequest(request));
    if (hasMoreFields(bytes, fieldsCountMax))
      throw new AshlarError("invalid_argument", `the request has more than ${fieldsCountMax} fields`);
    return this.#deps.service.definition[method.handlerName]?.requestDeserialize(bytes) as never;
  }

  #render(method: JsonMethod, answer: unknown): JsonValue {
    const bytes = this.#deps.service.definition[method.handlerName]?.responseSerialize(answer);
    return method.renderResponse(bytes ?? new Uint8Array());
  }

  #textOf(method: JsonMethod, answer: object): string {
    const known = this.#texts.get(answer);
    if (known !== undefined) return known;
    const text = JSON.stringify(this.#render(method, answer));
    this.#texts.set(answer, text);
    return text;
  }

  #told(error: unknown, method: string): AshlarError {
    if (!isAshlarError(error) || error.code === "internal") {
      const stack = error instanceof Error ? error.stack : undefined;
      this.#deps.log.error("a handler failed", { method, via: "console", error: messageOf(error), stack });
    }
    return tellable(error);
  }
}

function contextOf(method: string, { session, source, signal }: SessionCall): CallContext {
  const { id, certificateSerial, certificateExpiresMs, readOnly } = session.operator;
  return {
    caller: id,
    certificateSerial,
    certificateExpiresMs,
    console: { readOnly },
    source: `${source} via console`,
    method: `/ashlar.v1.AdminService/${method}`,
    signal,
    deadlineMs: undefined,
  };
}

/** All open streams of events: how many there may be, what they carry, and when they end. */
import type { ServerResponse } from "node:http";
import { AshlarError, isAshlarError } from "../../core/errors.js";
import { onAbort } from "../../runtime/abort.js";
import type { Clock } from "../../runtime/clock.js";
import { EventStream } from "./event-stream.js";
import { renderError } from "./http-answers.js";
import type { MethodCalls, SessionCall } from "./method-calls.js";
import { PolledTopic } from "./polled-topic.js";
import type { Session, Sessions } from "./sessions.js";
import { findTopic, topics } from "./topics.js";

export interface EventStreamsDeps {
  readonly calls: MethodCalls;
  readonly sessions: Pick<Sessions, "touch">;
  readonly clock: Pick<Clock, "sleep">;
}

/** A request for events. */
export interface EventRequest {
  readonly session: Session;
  readonly source: string;
  readonly response: ServerResponse;
}

export const streamsMax = 64;
/** A browser opens at most six connections to a host: two remain for other requests. */
export const streamsOfSessionMax = 4;
const topicsMax = 8;
const beatMs = 15_000;

export class EventStreams {
  readonly #deps: EventStreamsDeps;
  /** The open streams, oldest first. */
  readonly #open = new Map<EventStream, Session>();
  readonly #polled = new Map<string, PolledTopic>();
  readonly #beating: NodeJS.Timeout;

  constructor(deps: EventStreamsDeps) {
    this.#deps = deps;
    this.#beating = setInterval(() => this.beat(), beatMs).unref();
  }

  get size(): number {
    return this.#open.size;
  }

  /** The bytes that all readers together have not read yet. */
  get unreadBytes(): number {
    return [...this.#open.keys()].reduce((sum, stream) => sum + stream.unreadBytes, 0);
  }

  /** Sends the events of the topics. Fails with `invalid_argument` or `limit` before anything is sent. */
  watch(names: readonly string[], request: EventRequest): void {
    const unknown = names.find((name) => findTopic(name) === undefined);
    if (names.length === 0 || names.length > topicsMax || unknown !== undefined) {
      const got = unknown === undefined ? `${names.length} of them` : JSON.stringify(unknown.slice(0, 80));
      throw new AshlarError(
        "invalid_argument",
        `topic: expected some of ${Object.keys(topics).join(", ")}, got ${got}`,
      );
    }
    const stream = this.#begin(request);
    const call = { ...request, signal: stream.signal };
    for (const name of new Set(names)) void this.#follow(name, stream, call);
  }

  /** Sends the answers of a method that streams, as events "message", then "end" or "failed". Fails with `limit`. */
  async stream(method: string, asked: unknown, request: EventRequest): Promise<void> {
    const stream = this.#begin(request);
    if (!(await this.#carry(method, asked, "message", stream, { ...request, signal: stream.signal }))) return;
    stream.end("end", {});
  }

  close(): void {
    clearInterval(this.#beating);
    for (const stream of [...this.#open.keys()]) stream.drop();
  }

  #begin({ session, response }: EventRequest): EventStream {
    // a stream that waits behind another answer on its connection would not notice when the browser goes away
    if (response.socket === null)
      throw new AshlarError(
        "unavailable",
        "a stream of events needs a connection that answers nothing else: try again",
      );
    if (this.#open.size >= streamsMax)
      throw new AshlarError("limit", `${streamsMax} streams of events are open, which is all that there may be`);
    const own = [...this.#open].filter(([, of]) => of === session);
    if (own.length >= streamsOfSessionMax)
      own[0]?.[0].end("replaced", { why: `this session has ${streamsOfSessionMax} newer streams` });
    const stream = new EventStream(response, session.ended);
    this.#open.set(stream, session);
    onAbort(stream.signal, () => this.#open.delete(stream));
    return stream;
  }

  async #follow(name: string, stream: EventStream, call: SessionCall): Promise<void> {
    const topic = findTopic(name);
    if (topic === undefined) return;
    const { everyMs } = topic;
    if (everyMs === undefined) {
      await this.#carry(topic.method, topic.request, name, stream, call);
      return;
    }
    const polled = this.#polled.get(name) ?? new PolledTopic(this.#deps, name, { ...topic, everyMs });
    this.#polled.set(name, polled);
    await polled.follow(stream, call);
  }

  /** Sends the answers of a method as `event`. Returns false if the method failed, which the reader was told. */
  async #carry(
    method: string,
    asked: unknown,
    event: string,
    stream: EventStream,
    call: SessionCall,
  ): Promise<boolean> {
    try {
      for await (const text of this.#deps.calls.stream(method, asked, call)) {
        stream.send(event, text);
        await stream.taken();
      }
      return true;
    } catch (error) {
      if (!isAshlarError(error)) throw error;
      const failed = { topic: event, ...renderError(error) };
      if (event === "message") stream.end("failed", failed);
      else stream.send("failed", JSON.stringify(failed));
      return false;
    }
  }

  /** Is called every 15 seconds: keeps streams and sessions alive, and drops readers that read nothing. */
  beat(): void {
    for (const [stream, session] of this.#open) {
      this.#deps.sessions.touch(session);
      stream.beat();
    }
  }
}

/** Polls one unary method at intervals, once for all its followers. */
import { isAshlarError } from "../../core/errors.js";
import { onAbort } from "../../runtime/abort.js";
import type { Clock } from "../../runtime/clock.js";
import type { EventStream } from "./event-stream.js";
import { renderError } from "./http-answers.js";
import type { MethodCalls, SessionCall } from "./method-calls.js";
import type { Topic } from "./topics.js";

export interface PolledTopicDeps {
  readonly calls: Pick<MethodCalls, "unary">;
  readonly clock: Pick<Clock, "sleep">;
}

interface Follower {
  readonly stream: EventStream;
  readonly call: SessionCall;
  /** The last answer that the follower was sent. */
  told: string;
}

export class PolledTopic {
  readonly #deps: PolledTopicDeps;
  readonly #name: string;
  readonly #topic: Topic & { readonly everyMs: number };
  readonly #followers = new Set<Follower>();
  #isRunning = false;

  constructor(deps: PolledTopicDeps, name: string, topic: Topic & { readonly everyMs: number }) {
    this.#deps = deps;
    this.#name = name;
    this.#topic = topic;
  }

  /** Follows until the stream ends. The first answer is requested as this session, which may be refused. */
  async follow(stream: EventStream, call: SessionCall): Promise<void> {
    const follower: Follower = { stream, call, told: "" };
    if (!(await this.#ask(follower, [follower]))) return;
    if (stream.signal.aborted) return;
    this.#followers.add(follower);
    onAbort(stream.signal, () => this.#followers.delete(follower));
    if (!this.#isRunning) void this.#run();
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#followers.size > 0) {
      await this.#deps.clock.sleep(this.#topic.everyMs);
      const [asker] = this.#followers;
      if (asker !== undefined && !(await this.#ask(asker, this.#followers))) this.#followers.delete(asker);
    }
    this.#isRunning = false;
  }

  /** Returns whether the asker may go on. */
  async #ask(asker: Follower, followers: Iterable<Follower>): Promise<boolean> {
    try {
      const answer = await this.#deps.calls.unary(this.#topic.method, this.#topic.request, asker.call);
      const text = JSON.stringify(answer);
      for (const follower of followers) tell(follower, this.#name, text);
      return true;
    } catch (error) {
      if (!isAshlarError(error)) throw error;
      const failed = JSON.stringify({ topic: this.#name, ...renderError(error) });
      for (const follower of followers) tell(follower, "failed", failed);
      return error.code !== "denied" && error.code !== "unauthenticated";
    }
  }
}

/** Sends an answer to a follower. One that has not read the event before gets a later answer instead. */
function tell(follower: Follower, event: string, text: string): void {
  if (follower.told === text || follower.stream.isBehind) return;
  follower.told = text;
  follower.stream.send(event, text);
}

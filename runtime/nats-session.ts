/** One connection of the `nats` client, from its creation to its end: its requests, its status events and its close. */
import { Events, type NatsConnection, type Status } from "nats";
import { messageOf } from "../core/errors.js";
import type { Clock } from "./clock.js";
import type { ConnectionStatus } from "./connection-status.js";
import type { Logger } from "./log.js";
import { NatsRequests } from "./nats-requests.js";

export interface NatsSessionDeps {
  readonly log: Logger;
  readonly clock: Clock;
  /** Is set when the connection is interrupted, is back, and ends. */
  readonly status: ConnectionStatus;
  /** Receives the code of an error. Returns true if it was a refusal of our user, which it has then recorded. */
  readonly noteRefusal: (code: string) => boolean;
  readonly accepted: () => void;
}

export class NatsSession {
  readonly connection: NatsConnection;
  readonly requests: NatsRequests;
  readonly #deps: NatsSessionDeps;

  constructor(connection: NatsConnection, deps: NatsSessionDeps, inboxPrefix: string, timeoutMs: number) {
    this.connection = connection;
    this.requests = new NatsRequests(connection, inboxPrefix, { clock: deps.clock, timeoutMs });
    this.#deps = deps;
  }

  /**
   * Reports what happens to the connection. Resolves when it has ended, because the client gave it up or it was closed.
   */
  async follow(): Promise<void> {
    const { log, status } = this.#deps;
    void this.#tellNews(); // the client never ends this iteration, so it is not awaited
    const error = await this.connection.closed();
    status.set(false);
    this.requests.interrupt();
    if (error) log.warn("the connection to NATS ended", { error: messageOf(error) });
  }

  async #tellNews(): Promise<void> {
    for await (const news of this.connection.status()) {
      if (this.connection.isClosed()) return;
      this.#tell(news);
    }
  }

  #tell(news: Status): void {
    const { log, status, noteRefusal, accepted } = this.#deps;
    if (news.type === Events.Disconnect) {
      log.warn("NATS is gone: reconnecting", { server: String(news.data) });
      status.set(false);
      this.requests.interrupt();
    } else if (news.type === Events.Reconnect) {
      log.info("NATS is back", { server: String(news.data) });
      accepted();
      status.set(true);
    } else if (news.type === Events.Error && !noteRefusal(String(news.data))) {
      const about = news.permissionContext;
      if (about?.operation === "publish") this.requests.deny(about.subject);
      log.warn("NATS reported an error", { error: String(news.data), about });
    }
  }

  close(): void {
    void this.connection.close().catch(() => {});
  }
}

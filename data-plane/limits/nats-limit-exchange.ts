/** Reports between the proxies of one service over NATS, whose permissions bind each subject to its proxy. */
import { messageOf } from "../../core/errors.js";
import type { Limit } from "../../core/limit/limit-model.js";
import type { LimitReport } from "../../core/limit/limit-report.js";
import { encodeLimitReport, parseLimitReport } from "../../core/wire/limit-report.js";
import { limitsSubject, parseFleetSubject } from "../../core/wire/subjects.js";
import type { Bus, BusMessage } from "../../runtime/bus.js";
import type { Logger } from "../../runtime/log.js";
import type { EndpointView, IdentityView } from "../ports.js";
import type { LimitExchange, ReportListener } from "./limit-exchange.js";

export interface NatsLimitExchangeDeps {
  readonly bus: Bus;
  readonly identity: IdentityView;
  /** Who has an instance of the service: they share, whether they report or not. */
  readonly endpoints: Pick<EndpointView, "endpoints">;
  readonly log: Logger;
}

const queuedMax = 2048;

export class NatsLimitExchange implements LimitExchange {
  readonly #deps: NatsLimitExchangeDeps;
  readonly #listeners = new Set<ReportListener>();
  readonly workers = 1;
  #warned = false;

  /** Listens until `signal` aborts. */
  constructor(deps: NatsLimitExchangeDeps, signal: AbortSignal) {
    this.#deps = deps;
    const { service } = deps.identity.current;
    const subscription = deps.bus.subscribe(limitsSubject(service, "*"), { queueMax: queuedMax });
    signal.addEventListener("abort", () => subscription.close(), { once: true });
    void this.#read(subscription);
  }

  get members(): number {
    const { service, proxyId } = this.#deps.identity.current;
    const proxies = new Set(this.#deps.endpoints.endpoints(service).map((endpoint) => endpoint.proxyId));
    return proxies.add(proxyId).size;
  }

  get connected(): boolean {
    return this.#deps.bus.connected;
  }

  publish(report: LimitReport, scope: Limit["scope"]): void {
    if (scope === "proxy") return;
    const { service, proxyId } = this.#deps.identity.current;
    this.#deps.bus.publish(limitsSubject(service, proxyId), encodeLimitReport(report, { service, proxyId }));
  }

  onReport(listener: ReportListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async #read(messages: AsyncIterable<BusMessage>): Promise<void> {
    for await (const message of messages) this.#hear(message);
  }

  #hear({ subject, data, relayed }: BusMessage): void {
    const { service, proxyId } = this.#deps.identity.current;
    const writer = parseFleetSubject(subject);
    if (relayed || writer === undefined || writer.service !== service || writer.proxyId === proxyId) return;
    try {
      const report = parseLimitReport(data, writer);
      for (const listener of this.#listeners) listener(writer.proxyId, report, "proxy");
    } catch (error) {
      if (this.#warned) return;
      this.#warned = true; // a peer of another version says it several times a second
      this.#deps.log.warn(`a limit report of ${writer.proxyId} is not read: ${messageOf(error)}`);
    }
  }
}

/** Reports between the proxies of one service over NATS, each signed by its proxy. */

import { messageOf } from "../../core/errors.js";
import type { Limit } from "../../core/kinds/rate-limit/rate-limit.js";
import type { LimitReport } from "../../core/limit/limit-report.js";
import { encodeLimitReport, parseLimitReport } from "../../core/wire/limit-report.js";
import { limitsSubject, parseFleetSubject } from "../../core/wire/subjects.js";
import { onAbort } from "../../runtime/abort.js";
import type { Bus, BusMessage } from "../../runtime/bus.js";
import type { Logger } from "../../runtime/log.js";
import type { StatementReader } from "../../runtime/statement-reader.js";
import type { StatementWriter } from "../../runtime/statement-writer.js";
import type { EndpointView, IdentityView } from "../ports.js";
import type { Tenure } from "../takeover/tenure.js";
import type { LimitExchange, ReportListener } from "./limit-exchange.js";

export interface NatsLimitExchangeDeps {
  readonly bus: Bus;
  readonly identity: IdentityView;
  readonly statements: Pick<StatementWriter, "sign">;
  /** Verifies the writer of a report. */
  readonly reader: Pick<StatementReader, "hear">;
  /** The proxies with an instance of the service. All of them share, whether or not they report. */
  readonly endpoints: Pick<EndpointView, "endpoints">;
  readonly log: Logger;
  /** Whether this process acts for the proxy. */
  readonly tenure: Pick<Tenure, "isOwner">;
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
    onAbort(signal, () => subscription.close());
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
    const { bus, statements, tenure } = this.#deps;
    if (!bus.connected || !tenure.isOwner) return;
    const bytes = encodeLimitReport(report, { service, proxyId });
    bus.publish(limitsSubject(service, proxyId), bytes, statements.sign("limits", bytes));
  }

  onReport(listener: ReportListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async #read(messages: AsyncIterable<BusMessage>): Promise<void> {
    for await (const message of messages) this.#hear(message);
  }

  #hear(message: BusMessage): void {
    const { service, proxyId } = this.#deps.identity.current;
    const named = parseFleetSubject(message.subject);
    if (named === undefined || named.service !== service || named.proxyId === proxyId) return;
    try {
      if (!this.#shares(named.proxyId)) return; // before its signature is verified: it has no part in the budgets
      const { writer, signed } = this.#deps.reader.hear("limits", message);
      if (signed?.revoked !== undefined) return;
      const report = parseLimitReport(message.data, writer);
      for (const listener of this.#listeners) listener(writer.proxyId, report, "proxy");
    } catch (error) {
      if (this.#warned) return;
      this.#warned = true; // a peer of another version sends it several times a second
      this.#deps.log.warn(`cannot read a limit report of ${named.proxyId}: ${messageOf(error)}`);
    }
  }

  /** Returns whether a proxy has a valid endpoint: only those who share the budgets may report. */
  #shares(proxyId: string): boolean {
    const { service } = this.#deps.identity.current;
    return this.#deps.endpoints.endpoints(service).some((endpoint) => endpoint.proxyId === proxyId);
  }
}

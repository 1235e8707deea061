/** Calls of the own application: which service is meant, which version, which endpoint, and is it really that service. */
import { status } from "@grpc/grpc-js";
import { isAshlarError, messageOf } from "../../core/errors.js";
import { buildSpiffeId, isLabel } from "../../core/identity.js";
import type { Endpoint } from "../../core/model.js";
import type { CompiledRouteRule } from "../../core/policy/compile.js";
import { chooseVersion } from "../../core/route/choose-version.js";
import { pickEndpoint } from "../../core/route/pick-endpoint.js";
import { headerNames } from "../../core/wire/headers.js";
import type { Clock } from "../../runtime/clock.js";
import { parseHostPort, type SocketAddress } from "../../runtime/config.js";
import type { Logger } from "../../runtime/log.js";
import type { EndpointView, EvaluatedPolicy, PolicyView } from "../ports.js";
import { type Answer, unavailableAnswer } from "./answer.js";
import { answerFor, CarriedCall, Deadline, requestFields } from "./carry.js";
import { dialPeer } from "./dial.js";
import type { AcceptedStream } from "./forward/accepted-stream.js";
import { Listener, localLimits } from "./forward/listener.js";
import type { UpstreamSlot } from "./forward/upstream-session.js";
import { internalAnswer } from "./inbound.js";
import type { ProxyMetrics } from "./proxy-metrics.js";
import { joinFields } from "./request-head.js";
import type { TlsState } from "./tls-state.js";
import type { UpstreamPool } from "./upstream-pool.js";

export interface OutboundDeps {
  readonly tls: TlsState;
  readonly policy: PolicyView;
  readonly endpoints: EndpointView;
  /** Connections to peer proxies. */
  readonly pool: UpstreamPool;
  readonly metrics: ProxyMetrics;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly draw: () => number;
  readonly random: (bytes: number) => Buffer;
  readonly log: Logger;
}

export interface OutboundOptions {
  readonly mesh: string;
  /** Whatever arrives goes to this service; undefined: `:authority` says which. */
  readonly service: string | undefined;
}

const usedAgainAfterMs = 60_000;
const dialsMax = 3;

/** One listener for the application's calls. */
export class Outbound {
  readonly #deps: OutboundDeps;
  readonly #options: OutboundOptions;
  readonly #listener: Listener;
  /** When each service was last noted as used. */
  readonly #usedMs = new Map<string, number>();

  constructor(deps: OutboundDeps, options: OutboundOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#listener = new Listener(
      {
        onCall: (call) => void this.#onCall(call),
        onHandshakeFailure: (reason) => deps.metrics.handshakeFailed("outbound", reason),
        onConnection: (change) => deps.metrics.connection("outbound", change),
        log: deps.log,
      },
      localLimits,
    );
  }

  listen(address: SocketAddress): Promise<SocketAddress> {
    return this.#listener.listen(address);
  }

  drain(): Promise<void> {
    return this.#listener.drain();
  }

  close(): void {
    this.#listener.close();
  }

  async #onCall(accepted: AcceptedStream): Promise<void> {
    const { metrics, clock } = this.#deps;
    const startedMs = clock.monotonicMs();
    const service = this.#options.service ?? serviceOf(accepted.head.authority, this.#options.mesh);
    metrics.callStarted("outbound");
    accepted.whenEnded(() =>
      metrics.callEnded({
        direction: "outbound",
        service: service ?? "",
        method: accepted.head.method,
        code: accepted.code ?? status.UNKNOWN,
        reason: accepted.reason,
        tookMs: clock.monotonicMs() - startedMs,
      }),
    );
    try {
      await this.#serve(accepted, service, startedMs);
    } catch (error) {
      this.#deps.log.error("a call failed", { error: messageOf(error), method: accepted.head.method });
      accepted.answer(internalAnswer(this.#deps.policy.current?.revision));
    }
  }

  async #serve(accepted: AcceptedStream, service: string | undefined, startedMs: number): Promise<void> {
    const { head } = accepted;
    const found = await this.#findPolicy(service, head.authority);
    if ("code" in found) return accepted.answer(found);
    if (accepted.ended) return;
    const { policy, name } = found;
    const rule = policy.unit(name)?.findRoute(head.method, (header) => joinFields(head.fields, header));
    const spentMs = this.#deps.clock.monotonicMs() - startedMs;
    const timeoutMs = shorter(head.timeoutMs, rule === undefined || rule.timeoutMs === 0 ? undefined : rule.timeoutMs);
    const deadline = new Deadline(
      this.#deps.clock,
      timeoutMs === undefined ? undefined : Math.max(0, timeoutMs - spentMs),
    );
    const call = new CarriedCall(accepted, {
      scheme: "https",
      path: head.path,
      authority: name,
      fields: requestFields(head.fields, [[headerNames.epoch, String(this.#deps.policy.seenEpoch)]], this.#deps.random),
      remainingMs: () => deadline.remainingMs(),
      revision: policy.revision,
      peerProxy: true,
    });
    const tried = new Set<string>();
    await call.carry(() => this.#pick(name, rule, policy.revision, tried));
  }

  /** The policy that this call is routed by, with the service's unit held. */
  async #findPolicy(
    name: string | undefined,
    authority: string,
  ): Promise<Answer | { readonly policy: EvaluatedPolicy; readonly name: string }> {
    const { policy } = this.#deps;
    const revision = policy.current?.revision;
    if (policy.current === undefined) {
      return unavailableAnswer("no-revision", "this proxy has no revision to route by", undefined);
    }
    if (name === undefined) {
      return unavailableAnswer("unknown-service", `${authority} names no service of this mesh`, revision);
    }
    try {
      if (policy.current.unit(name) !== undefined) this.#noteUse(name);
      else if (!(await policy.useService(name))) {
        return unavailableAnswer("unknown-service", `this mesh has no service ${name}`, revision);
      }
      await this.#deps.endpoints.ready(name);
    } catch (error) {
      return unavailableAnswer("no-revision", `${name}: ${messageOf(error)}`, revision);
    }
    const current = policy.current; // it may have switched meanwhile
    if (current === undefined || !current.has(name)) {
      return unavailableAnswer("unknown-service", `this mesh has no service ${name}`, current?.revision);
    }
    return { policy: current, name };
  }

  /** Keeps the service in the prepare set, without a wait and not at every call. */
  #noteUse(name: string): void {
    const nowMs = this.#deps.clock.monotonicMs();
    if (nowMs - (this.#usedMs.get(name) ?? Number.NEGATIVE_INFINITY) < usedAgainAfterMs) return;
    this.#usedMs.set(name, nowMs); // bounded by the services of the mesh
    this.#deps.policy.useService(name).catch((error: unknown) => {
      this.#deps.log.debug("a service in use was not noted", { service: name, error: messageOf(error) });
    });
  }

  async #pick(
    service: string,
    rule: CompiledRouteRule | undefined,
    revision: number,
    tried: Set<string>,
  ): Promise<UpstreamSlot | Answer> {
    let failure: unknown;
    for (let dial = 0; dial < dialsMax; dial++) {
      const endpoint = this.#choose(service, rule, tried);
      if (endpoint === undefined) break;
      tried.add(endpoint.proxyId);
      try {
        return await this.#deps.pool.acquire({
          key: keyOf(service, endpoint),
          dial: () => this.#dial(service, endpoint),
        });
      } catch (error) {
        failure = error;
      }
    }
    if (failure !== undefined) return answerFor(failure, `no endpoint of ${service} is reached`, revision);
    return unavailableAnswer("no-endpoint", `${service} has no healthy endpoint`, revision);
  }

  #choose(service: string, rule: CompiledRouteRule | undefined, tried: ReadonlySet<string>): Endpoint | undefined {
    const { pool, endpoints, draw } = this.#deps;
    const untried = endpoints.endpoints(service).filter(({ proxyId }) => !tried.has(proxyId));
    const rested = untried.filter((endpoint) => !pool.isBackedOff(keyOf(service, endpoint)));
    const usable = rested.length > 0 ? rested : untried; // the pool itself refuses those that are backed off
    const choice = chooseVersion(rule?.split ?? [], draw(), (version) => usable.some((one) => one.version === version));
    if (choice.kind === "none") return undefined;
    const fitting = choice.kind === "any" ? usable : usable.filter(({ version }) => version === choice.version);
    return pickEndpoint(fitting, (endpoint) => pool.loadOf(keyOf(service, endpoint)), draw());
  }

  async #dial(service: string, { address }: Endpoint) {
    const { tls, metrics, log } = this.#deps;
    const hostPort = parseHostPort(address);
    if (hostPort === undefined) throw new Error(`${address} is not HOST:PORT`);
    const expected = buildSpiffeId(this.#options.mesh, "service", service);
    try {
      return await dialPeer({
        address: hostPort,
        expected,
        context: tls.context(),
        verify: (socket) => tls.verify(socket),
      });
    } catch (error) {
      const isWrong = isAshlarError(error, "invalid_identity");
      if (isWrong) metrics.handshakeFailed("outbound", "identity");
      log[isWrong ? "warn" : "info"]("an endpoint was not reached", { service, address, error: messageOf(error) });
      throw error;
    }
  }
}

/** How an endpoint's connections are named in the pool: they were proved to be this service's. */
export function keyOf(service: string, endpoint: Pick<Endpoint, "address">): string {
  return `${service} ${endpoint.address}`;
}

/** "payments" of "payments", "payments:80", "payments.MESH" and "payments.MESH:80"; undefined: none of this mesh. */
export function serviceOf(authority: string, mesh: string): string | undefined {
  const host = authority.replace(/:\d{1,5}$/, "");
  const name = host.endsWith(`.${mesh}`) ? host.slice(0, -mesh.length - 1) : host;
  return isLabel(name) ? name : undefined;
}

function shorter(one: number | undefined, other: number | undefined): number | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return Math.min(one, other);
}

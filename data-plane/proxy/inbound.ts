/** Calls from other proxies: who calls is proved by TLS, what they may is judged here, and the application gets the rest. */
import { status } from "@grpc/grpc-js";
import { messageOf } from "../../core/errors.js";
import type { Label } from "../../core/model.js";
import type { CallInputs } from "../../core/policy/condition/frame.js";
import { headerNames } from "../../core/wire/headers.js";
import type { Clock } from "../../runtime/clock.js";
import type { HostPort } from "../../runtime/config.js";
import type { Logger } from "../../runtime/log.js";
import type { AppRegistration, AppView, EvaluatedPolicy, PolicyView } from "../ports.js";
import { type Answer, deniedAnswer, unavailableAnswer } from "./answer.js";
import { CallStart, labelMap, plainAddress } from "./call-inputs.js";
import { answerFor, CarriedCall, Deadline, requestFields } from "./carry.js";
import { dialApplication } from "./dial.js";
import type { AcceptedStream, Peer } from "./forward/accepted-stream.js";
import { inboundLimits, Listener, type ListenerLimits } from "./forward/listener.js";
import type { UpstreamSlot } from "./forward/upstream-session.js";
import { OpenCalls } from "./open-calls.js";
import type { ProxyMetrics } from "./proxy-metrics.js";
import { findField } from "./request-head.js";
import type { TlsState } from "./tls-state.js";
import type { UpstreamPool } from "./upstream-pool.js";

export interface InboundDeps {
  readonly tls: TlsState;
  readonly policy: PolicyView;
  readonly app: AppView;
  /** Connections to the application. */
  readonly pool: UpstreamPool;
  readonly metrics: ProxyMetrics;
  readonly clock: Clock;
  readonly random: (bytes: number) => Buffer;
  readonly log: Logger;
}

export interface InboundOptions {
  readonly service: string;
  /** This proxy's own labels, for conditions. */
  readonly labels?: readonly Label[];
  readonly limits?: ListenerLimits;
}

export class Inbound {
  readonly open = new OpenCalls();
  readonly #deps: InboundDeps;
  readonly #service: string;
  readonly #labels: ReadonlyMap<string, string>;
  readonly #listener: Listener;
  readonly #stopFollowing: () => void;

  constructor(deps: InboundDeps, options: InboundOptions) {
    this.#deps = deps;
    this.#service = options.service;
    this.#labels = labelMap(options.labels ?? []);
    this.#listener = new Listener(
      {
        onCall: (call) => void this.#onCall(call),
        onHandshakeFailure: (reason, message) => {
          deps.metrics.handshakeFailed("inbound", reason);
          deps.log.info("a connection was refused", { reason, message });
        },
        onConnection: (change) => deps.metrics.connection("inbound", change),
        log: deps.log,
      },
      options.limits ?? inboundLimits,
      {
        context: deps.tls.context(),
        admit: (socket) => ({ ...deps.tls.verify(socket), sourceAddress: plainAddress(socket.remoteAddress) }),
      },
    );
    this.#stopFollowing = deps.policy.onSwitch((policy) => this.#onSwitch(policy));
  }

  /** Gives the address with its real port. */
  async listen(address: HostPort): Promise<HostPort> {
    const bound = await this.#listener.listen(address);
    return "path" in bound ? address : bound;
  }

  /** Identity or trust changed: new handshakes use it, open connections are judged by it. */
  refreshTls(): void {
    this.#listener.setSecureContext(this.#deps.tls.context());
    this.#listener.admitAgain();
  }

  /** Closes connections whose certificate has expired meanwhile. */
  admitAgain(): void {
    this.#listener.admitAgain();
  }

  drain(): Promise<void> {
    return this.#listener.drain();
  }

  close(): void {
    this.#stopFollowing();
    this.#listener.close();
  }

  async #onCall(accepted: AcceptedStream): Promise<void> {
    const { metrics, clock } = this.#deps;
    const startedMs = clock.monotonicMs();
    metrics.callStarted("inbound");
    accepted.whenEnded(() =>
      metrics.callEnded({
        direction: "inbound",
        service: this.#service,
        method: accepted.head.method,
        code: accepted.code ?? status.UNKNOWN,
        reason: accepted.reason,
        tookMs: clock.monotonicMs() - startedMs,
      }),
    );
    try {
      await this.#serve(accepted, new Deadline(clock, accepted.head.timeoutMs));
    } catch (error) {
      this.#deps.log.error("a call failed", { error: messageOf(error), method: accepted.head.method });
      accepted.answer(internalAnswer(this.#deps.policy.current?.revision));
    }
  }

  async #serve(accepted: AcceptedStream, deadline: Deadline): Promise<void> {
    const { policy } = this.#deps;
    const { peer, head } = accepted;
    if (peer === undefined) throw new Error("an inbound call without a peer"); // the listener gives none without
    await this.#hear(head.fields, peer);
    if (accepted.ended) return;
    const current = policy.current;
    const inputs = new CallStart(head.fields, peer.sourceAddress, this.#deps.clock.nowMs(), this.#labels);
    const refusal = this.#judge(current, peer, head.method, inputs);
    if (refusal !== undefined) return accepted.answer(refusal);
    const call = new CarriedCall(accepted, {
      scheme: "http",
      path: head.path,
      authority: head.authority,
      fields: requestFields(head.fields, [[headerNames.caller, peer.spiffeId]], this.#deps.random),
      remainingMs: () => deadline.remainingMs(),
      revision: current?.revision,
      peerProxy: false,
    });
    const remove = this.open.add({
      caller: peer.spiffeId,
      method: head.method,
      inputs,
      end: (answer) => call.end(answer),
    });
    accepted.whenEnded(remove);
    await call.carry(() => this.#pick(current?.revision));
  }

  /** News travels with the calls: a peer that has seen a higher epoch makes us look before we decide. */
  async #hear(fields: AcceptedStream["head"]["fields"], peer: Peer): Promise<void> {
    const text = findField(fields, headerNames.epoch);
    if (text === undefined || !/^\d{1,15}$/.test(text)) return;
    const { policy } = this.#deps;
    if (Number(text) > policy.seenEpoch) await policy.hearOfEpoch(Number(text), peer.spiffeId);
  }

  /** undefined: the call is allowed. */
  #judge(current: EvaluatedPolicy | undefined, peer: Peer, method: string, inputs: CallInputs): Answer | undefined {
    if (current === undefined) {
      return unavailableAnswer("no-revision", "this proxy has no revision to judge by", undefined);
    }
    const { revision } = current;
    if (inputs.nowMs >= peer.notAfterMs + 1000) {
      const message = "the client certificate has expired";
      return { code: status.UNAUTHENTICATED, message, revision, decision: undefined, reason: "certificate" };
    }
    const decision = this.#evaluate(current, peer, method, inputs);
    if (decision?.allow === true) return undefined;
    const id = this.#newDecisionId();
    const rule = decision?.rule ?? "default-deny";
    this.#deps.log.info("denied", { decision: id, caller: peer.spiffeId, method, rule, revision });
    return deniedAnswer(id, revision);
  }

  #evaluate(current: EvaluatedPolicy, peer: Peer, method: string, inputs: CallInputs) {
    try {
      return current.unit(this.#service)?.evaluateCall(peer.spiffeId, method, inputs);
    } catch (error) {
      this.#deps.log.error("a decision failed", { error: messageOf(error), method });
      return undefined; // I4: an evaluation that fails denies
    }
  }

  async #pick(revision: number | undefined): Promise<UpstreamSlot | Answer> {
    const { app, pool } = this.#deps;
    const registered = app.current;
    if (registered === undefined) {
      return unavailableAnswer("no-application", `no application of ${this.#service} is registered here`, revision);
    }
    const key = keyOf(registered);
    try {
      return await pool.acquire({ key, dial: () => this.#dial(registered) });
    } catch (error) {
      return answerFor(error, "the application is not reached", revision);
    }
  }

  async #dial(registered: AppRegistration) {
    try {
      return await dialApplication(registered.target);
    } catch (error) {
      this.#deps.app.reportRefused(registered);
      throw error;
    }
  }

  #onSwitch(policy: EvaluatedPolicy): void {
    const ended = this.open.judgeAgain(policy, this.#service, () => this.#newDecisionId());
    if (ended > 0) this.#deps.log.info("open calls were ended by a revision", { ended, revision: policy.revision });
  }

  #newDecisionId(): string {
    return this.#deps.random(12).toString("hex");
  }
}

function keyOf({ instance, target }: AppRegistration): string {
  return "path" in target ? `${instance} unix:${target.path}` : `${instance} ${target.host}:${target.port}`;
}

export function internalAnswer(revision: number | undefined): Answer {
  const message = "internal error of the proxy";
  return { code: status.INTERNAL, message, revision, decision: undefined, reason: "internal" };
}

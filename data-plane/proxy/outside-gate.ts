/**
 * The side of a gateway that other proxies call to leave the mesh. TLS proves who calls, `:authority` names the Egress,
 * the policy of the Egress judges the call here, and an allowed call goes to one of the egress's addresses.
 */
import type { Label } from "../../core/model.js";
import type { FieldBlock } from "../http2/field-block.js";
import type { Stream } from "../http2/stream.js";
import type { EvaluatedPolicy } from "../ports.js";
import { type Answer, answerFor, unavailableAnswer } from "./answer.js";
import { labelMap, plainAddress, SourceLabels } from "./call-inputs.js";
import { CallSide } from "./call-side.js";
import { serviceOf } from "./called-services.js";
import { EndpointChoice } from "./endpoint-choice.js";
import { EndpointRace, type EndpointRaceDeps } from "./endpoint-race.js";
import type { AttemptOutcome } from "./forward/attempt-outcome.js";
import type { Call } from "./forward/call.js";
import type { Peer } from "./forward/listener.js";
import { inboundLimits } from "./forward/listener-limits.js";
import type { OutboundDeps } from "./outbound.js";
import { OutboundPlans } from "./outbound-plans.js";
import { OutsideCalls } from "./outside-calls.js";
import { outcomeOf } from "./service-traffic.js";

export interface OutsideGateOptions {
  readonly mesh: string;
  /** The gateway's name in policy and in the trust log. */
  readonly gateway: string;
  /** This gateway's own labels, for conditions. */
  readonly labels: readonly Label[];
}

export class OutsideGate extends CallSide {
  readonly direction = "inbound";
  readonly fromPeer = false;
  protected override readonly stopping = "the gateway is stopping";
  readonly labels: ReadonlyMap<string, string>;
  protected readonly version = "";
  readonly #deps: OutboundDeps;
  readonly #options: OutsideGateOptions;
  readonly #outside: OutsideCalls;
  readonly #choice: EndpointChoice;
  readonly #race: EndpointRaceDeps;
  readonly #plans = new OutboundPlans([]);
  readonly #sourceLabels = new SourceLabels();

  constructor(deps: OutboundDeps, options: OutsideGateOptions) {
    const { tls, pool, engine } = deps;
    super(deps, inboundLimits, {
      context: tls.context(),
      admit: (socket) => {
        const { spiffeId, notAfterMs } = tls.verify(socket);
        return { spiffeId, notAfterMs, sourceAddress: plainAddress(socket.remoteAddress) };
      },
    });
    this.labels = labelMap(options.labels);
    this.#deps = deps;
    this.#options = options;
    this.#outside = new OutsideCalls(deps.outside, deps.judging);
    this.#choice = new EndpointChoice(deps, options.mesh);
    this.#race = { choice: this.#choice, pool, deadlines: engine.deadlines, nowMs: () => engine.loop.time() };
  }

  /** The calls that were allowed and are not over. */
  get open() {
    return this.#outside.open;
  }

  /** Applies a changed identity or trust: new handshakes use it, and open connections are judged by it. */
  refreshTls(): void {
    this.listener.setSecureContext(this.#deps.tls.context());
    this.listener.admitAgain();
  }

  /** Does nothing: tokens of open calls are judged again whenever trust changes. */
  refreshTokens(): void {}

  override close(): void {
    this.#outside.close();
    super.close();
  }

  override ended(call: Call): void {
    this.#outside.ended(call);
    super.ended(call);
  }

  protected override onRequest(stream: Stream, fields: FieldBlock, endStream: boolean, peer: Peer | undefined): void {
    if (peer === undefined) throw new Error("a call of another proxy without a peer"); // its listener always passes one
    const { head } = this;
    const name = serviceOf(head.authorityText(fields), this.#options.mesh) ?? "";
    const call = this.begin(stream, fields, endStream, name, peer.spiffeId);
    if (call === undefined) return;
    call.sourceAddress = peer.sourceAddress;
    if (head.labels >= 0) call.sourceLabels = this.#sourceLabels.of(fields.valueText(head.labels));
    if (head.authority >= 0) fields.drop(head.authority);
    if (head.expected >= 0) fields.drop(head.expected);
    if (head.after >= 0) fields.drop(head.after);
    const hasTe = head.te >= 0;
    try {
      call.keep(fields);
      void this.after(call, this.#prepare(name, head.epoch, peer), () => this.#serve(call, peer, hasTe));
    } catch (error) {
      this.failed(call, error);
    }
  }

  /**
   * Fetches what judging the call needs: policy as new as the caller's, the policy of the Egress, and its addresses.
   */
  async #prepare(name: string, epoch: number, peer: Peer): Promise<Answer | undefined> {
    const { policy, endpoints } = this.#deps;
    if (epoch > policy.seenEpoch) await policy.hearOfEpoch(epoch, peer.spiffeId);
    if (policy.current === undefined || name === "") return undefined;
    if (policy.current.unit(name) === undefined && policy.current.has(name)) await policy.useService(name);
    if (!this.#outside.holds(policy.current.unit(name))) await endpoints.ready(name);
    return undefined;
  }

  #serve(call: Call, peer: Peer, hasTe: boolean): void {
    const { current } = this.#deps.policy;
    const refused = current === undefined ? noRevision : this.#refuse(call, peer, current);
    const way = this.#outside.find(call.service);
    if (refused !== undefined || current === undefined || way === undefined) {
      call.answer(refused ?? noRevision);
      return;
    }
    call.plan = this.withTe(this.#plans.outside(way, current.revision), hasTe);
    if (!this.waitsForGate(call)) this.carry(call);
  }

  #refuse(call: Call, peer: Peer, policy: EvaluatedPolicy): Answer | undefined {
    const { service } = call;
    const { revision } = policy;
    const unit = policy.unit(service);
    const way = this.#outside.find(service);
    if (unit?.isOutside !== true) {
      const message = `${service === "" ? "the authority" : service} names no egress of this mesh`;
      return unavailableAnswer("unknown-service", message, revision);
    }
    if (way === undefined) return this.#outside.none(service, revision);
    if (way.gateway !== this.#options.gateway) {
      const message = `${service} does not leave the mesh through gateway/${this.#options.gateway}`;
      return unavailableAnswer("no-endpoint", message, revision);
    }
    this.#deps.traffic.of(service).follow(unit.resilience);
    return this.#outside.judge(call, peer);
  }

  override carry(call: Call): void {
    if (call.isLate) call.onDue();
    else new EndpointRace(this.#race, call, (failure) => this.#notReached(call, failure)).start();
  }

  #notReached(call: Call, failure: unknown): void {
    const revision = call.plan?.revision;
    if (failure === undefined) call.answer(this.#outside.none(call.service, revision));
    else call.answer(answerFor(failure, `no address of ${call.service} is reached`, revision));
  }

  override attemptEnded(call: Call, endpoint: string, outcome: AttemptOutcome, tookMs: number): void {
    const what = outcomeOf(outcome, call.code, call.isNearlyLate);
    const instance = this.#choice.endpointOf(endpoint);
    if (what !== undefined && instance !== undefined) this.#deps.traffic.of(call.service).note(instance, what, tookMs);
  }
}

const noRevision: Answer = unavailableAnswer("no-revision", "this gateway has no revision to judge by", undefined);

import { status } from "@grpc/grpc-js";
import type { SpiffeId } from "../../../core/identity.js";
import type { CompiledRouteRule } from "../../../core/policy/compile.js";
import type { CallInputs } from "../../../core/policy/condition/frame.js";
import type { FieldBlock } from "../../http2/field-block.js";
import { fieldName } from "../../http2/field-names.js";
import type { Stream } from "../../http2/stream.js";
import type { AnswerReason } from "../answer.js";
import { renderGrpcTimeout } from "../grpc-timeout.js";
import type { Direction, EndedCall } from "../proxy-metrics.js";
import type { ServiceTraffic } from "../service-traffic.js";
import type { CallOwner, ForwardPlan, Leaving, Retrying } from "./call-owner.js";
import { mayEnter, type Phase, phase } from "./call-phase.js";
import { KeptFields } from "./kept-fields.js";

/** What is known of a call, for those who judge, route, count and observe it: `Call` carries it. */
export class CallFacts implements CallInputs, EndedCall {
  /** Both sides of a call have the same clock, wheel and labels. */
  protected readonly owner: CallOwner<never>;
  protected phase: Phase = phase.begun;
  /** What it waits for before it can be sent; null: nothing. */
  waiting: Leaving | null = null;
  /** The caller's stream. */
  protected readonly inbound: Stream;
  readonly service: string;
  /** "package.Service/Method". */
  readonly method: string;
  readonly caller: SpiffeId;
  /** IP address; undefined: it came from the own application, or its connection is closed. */
  sourceAddress: string | undefined;
  /** When it began, by the calendar: for conditions. */
  nowMs = 0;
  claims: CallInputs["claims"];
  tokenIssuer: CallInputs["tokenIssuer"];
  sourceLabels: CallInputs["sourceLabels"];
  /** By the owner's clock; -1: none. */
  dueAtMs = -1;
  readonly startedMs: number;
  plan: ForwardPlan | null = null;
  /** The route's rule that fits, for choosing a version. */
  rule: CompiledRouteRule | undefined;
  /** Uniform in [0, 1): which version of the rule's split it gets. */
  versionDraw = 0;
  /** What it sticks to when a split is drawn; undefined: nothing. */
  stickyKey: string | undefined;
  /** The service that it goes to, for spreading calls; null: it goes to the own application, or is not routed yet. */
  traffic: ServiceTraffic | null = null;
  /** Tries it again by policy; null: there is none. */
  retry: Retrying | null = null;
  /** What ringHash goes by; undefined: nothing. */
  balanceKey: string | undefined;
  /** When the first attempt that was answered was; by the owner's clock. */
  respondedMs = -1;
  /** Streams that were opened upstream for it. */
  attempts = 0;
  /** The request's fields. */
  protected kept = KeptFields.none;
  code: status = status.CANCELLED;
  reason: AnswerReason | undefined;
  tookMs = 0;

  constructor(
    owner: CallOwner<never>,
    inbound: Stream,
    service: string,
    method: string,
    caller: SpiffeId,
    nowMs: number,
  ) {
    this.owner = owner;
    this.inbound = inbound;
    this.service = service;
    this.method = method;
    this.caller = caller;
    this.startedMs = nowMs;
  }

  get direction(): Direction {
    return this.owner.direction;
  }

  /** What conditions ask about the call, as it began: the same when it is judged again. */
  get inputs(): CallInputs {
    return this;
  }

  get destinationLabels(): ReadonlyMap<string, string> {
    return this.owner.labels;
  }

  header(name: string): string | undefined {
    return this.kept.header(name);
  }

  /** It is over or has been answered: nothing may be sent upstream for it any more. */
  get settled(): boolean {
    return this.phase >= phase.passed;
  }

  /** False: it is too late for that. */
  protected enter(to: Phase): boolean {
    if (!mayEnter(this.phase, to)) return false;
    this.phase = to;
    return true;
  }

  /** Nothing is sent for it until `release`; `gate` hears if it ends before. False: it has ended already. */
  hold(gate: Leaving): boolean {
    if (!this.enter(phase.held)) return false;
    this.waiting = gate;
    return true;
  }

  /** What it was held for is here. False: it has ended meanwhile. */
  release(): boolean {
    if (!this.enter(phase.begun)) return false;
    this.waiting = null;
    return true;
  }

  /** Keeps the request's fields, which are valid now only: for conditions, and for sending them later. */
  keep(fields: FieldBlock): void {
    this.kept = KeptFields.of(fields);
    this.inbound.keptBytes = this.kept.bytes;
    this.inbound.connection.budget.take(this.kept.bytes);
  }

  /** The fields that were kept, with the time that is left; valid until the next are restored. */
  restore(): FieldBlock {
    const fields = this.kept.restore();
    const { retry } = this;
    if (retry !== null && retry.tries > 1) {
      const own = fields.find(fieldName.grpcPreviousAttempts);
      if (own >= 0) fields.drop(own);
      fields.add("grpc-previous-rpc-attempts", String(retry.tries - 1));
    }
    if (this.dueAtMs >= 0) fields.add("grpc-timeout", renderGrpcTimeout(this.dueAtMs - this.owner.nowMs()));
    return fields;
  }

  /** Its time is over for a caller whose clock began a little earlier than this one: such a caller cancels first. */
  get isNearlyLate(): boolean {
    if (this.dueAtMs < 0) return false;
    const slackMs = Math.max(50, (this.dueAtMs - this.startedMs) / 10);
    return this.owner.nowMs() >= this.dueAtMs - slackMs;
  }

  /** Its time is over. */
  get isLate(): boolean {
    return this.dueAtMs >= 0 && this.owner.nowMs() >= this.dueAtMs;
  }
}

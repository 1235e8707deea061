import { status } from "@grpc/grpc-js";
import type { SpiffeId } from "../../../core/identity.js";
import type { ReplayedWrite } from "../../../core/journal/replayed.js";
import type { CompiledRouteRule } from "../../../core/policy/compile.js";
import type { CallInputs } from "../../../core/policy/condition/frame.js";
import { headerNames } from "../../../core/wire/headers.js";
import type { FieldBlock } from "../../http2/field-block.js";
import { fieldName } from "../../http2/field-names.js";
import type { Stream } from "../../http2/stream.js";
import type { AnswerReason, Reply } from "../answer.js";
import { renderGrpcTimeout } from "../grpc-timeout.js";
import type { Direction, EndedCall } from "../proxy-metrics.js";
import type { ServiceTraffic } from "../service-traffic.js";
import type { CallOwner, ForwardPlan, Leaving, Retrying } from "./call-owner.js";
import { mayEnter, type Phase, phase } from "./call-phase.js";
import { KeptFields } from "./kept-fields.js";
import { sendReplyHead } from "./response-fields.js";

/** Milliseconds by which an upstream's timer may be ahead of ours, which is read once a turn of the event loop. */
const timersDifferMs = 50;

/** The facts about a call, for judging, routing, counting and observing it. `Call` carries them. */
export class CallFacts implements CallInputs, EndedCall {
  /** The inbound and the outbound side have the same clock, wheel and labels. */
  protected readonly owner: CallOwner<never>;
  protected phase: Phase = phase.begun;
  /** What it waits for before it can be sent; null: nothing. */
  waiting: Leaving | null = null;
  /** The caller's stream. */
  protected readonly inbound: Stream;
  readonly service: string;
  /** The method as "package.Service/Method". */
  readonly method: string;
  /** Inbound: the method that the caller asked for, where the route of the caller's proxy changed it. */
  calledMethod: string | undefined;
  readonly caller: SpiffeId;
  /** The caller's IP address; undefined if the call came from this proxy's application or its connection is closed. */
  sourceAddress: string | undefined;
  /** When the call began, as wall-clock time, for conditions. */
  nowMs = 0;
  claims: CallInputs["claims"];
  tokenIssuer: CallInputs["tokenIssuer"];
  sourceLabels: CallInputs["sourceLabels"];
  /** Inbound: the proxy of the application that called without it; undefined: the caller is a proxy. */
  reader: string | undefined;
  /** The outside client, as the gateway that calls has proved it. */
  client: string | undefined;
  /** The deadline by the owner's clock, or -1. */
  dueAtMs = -1;
  readonly startedMs: number;
  plan: ForwardPlan | null = null;
  /** Whether the caller's proxy says that it is a copy of a call, whose answer nobody gets. */
  isMarked = false;
  /** The same where policy makes such copies: a peer's word alone takes no call out of what is counted. */
  isMirrored = false;
  /** The write that an operator replays by the call; undefined: it is an ordinary call. */
  replay: ReplayedWrite | "malformed" | undefined;
  /** The rule of the route that matches the call, for choosing a version. */
  rule: CompiledRouteRule | undefined;
  /** A random number, uniform in [0, 1), that picks the version in the rule's split. */
  versionDraw = 0;
  /** The value that the call sticks to when a split is drawn; undefined if none. */
  stickyKey: string | undefined;
  /**
   * The called service, for spreading calls; null if the call goes to this proxy's application or is not routed yet.
   */
  traffic: ServiceTraffic | null = null;
  /** Tries it again by policy; null: there is none. */
  retry: Retrying | null = null;
  /** The key for ringHash; undefined if none. */
  balanceKey: string | undefined;
  /** When the first answered attempt was answered, by the owner's clock. */
  respondedMs = -1;
  /** How many streams were opened upstream for the call. */
  attempts = 0;
  /** The request's fields. */
  protected kept = KeptFields.none;
  /** The instances that the call was sent to, as far as it must not be sent there again. */
  tried: Set<string> | undefined;
  version = "";
  /** The instance that was called last, as the pool names it; "" if none was called. */
  lastEndpoint = "";
  /** The revision that judged the call, and the id of its decision if it has one. */
  judgedBy = 0;
  decision: string | undefined;
  /** What is noted about the call; null for most. */
  seen: object | null = null;
  /** The last sequence of its order key that the caller says it knows; "": it says none. */
  expectedSequence = "";
  /** The write that the caller wants a read to see; "": none. */
  afterSequence = "";
  /** The outside client for whom a gateway reads: what its certificate proved, or its network; "": no gateway does. */
  readFor = "";
  requestBytes = 0;
  responseBytes = 0;
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

  /** Whether a client outside the mesh makes it, at a gateway. */
  get isFromClient(): boolean {
    return this.owner.isForClients;
  }

  /** What conditions read about the call as it began: the same when it is judged again. */
  get inputs(): CallInputs {
    return this;
  }

  get destinationLabels(): ReadonlyMap<string, string> {
    return this.owner.labels;
  }

  header(name: string): string | undefined {
    return name === headerNames.client ? this.client : this.kept.header(name);
  }

  /** It is over or has been answered: nothing may be sent upstream for it any more. */
  get settled(): boolean {
    return this.phase >= phase.passed;
  }

  /** Whether an attempt is upstream that may be replaced. */
  get isTrying(): boolean {
    return this.phase === phase.trying;
  }

  noteTried(proxyId: string): void {
    this.tried ??= new Set();
    this.tried.add(proxyId);
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

  /** Lets the caller send `bytes` more while the call is held. */
  takeHeld(bytes: number): void {
    if (bytes > 0) this.inbound.consumed(bytes);
  }

  /** Begins the response of a held call, whose end is its answer. False: it is too late for that. */
  beginReply(head: Reply["head"]): boolean {
    if (!this.enter(phase.committed)) return false;
    if (this.respondedMs < 0) this.respondedMs = this.owner.nowMs();
    sendReplyHead(this.inbound, head);
    return true;
  }

  /** Sends more of it. Returns how many bytes the caller has taken: all, if nobody wants them any more. */
  sendReply(bytes: Uint8Array): number {
    if (this.phase !== phase.committed) return bytes.length;
    this.responseBytes += bytes.length;
    return this.inbound.sendData(bytes, 0, bytes.length, false);
  }

  /** Keeps the request's fields, which are valid now only: for conditions, and for sending them later. */
  keep(fields: FieldBlock): void {
    this.kept = KeptFields.of(fields);
    this.inbound.keptBytes = this.kept.bytes;
    this.inbound.connection.budget.take(this.kept.bytes);
  }

  /** Returns the kept fields with the remaining time; valid until the next fields are restored. */
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

  /** Whether the deadline has passed for a caller whose clock began a little earlier: such a caller cancels first. */
  get isNearlyLate(): boolean {
    if (this.dueAtMs < 0) return false;
    const slackMs = Math.max(50, (this.dueAtMs - this.startedMs) / 10);
    return this.owner.nowMs() >= this.dueAtMs - slackMs;
  }

  /** Whether the deadline has passed. */
  get isLate(): boolean {
    return this.dueAtMs >= 0 && this.owner.nowMs() >= this.dueAtMs;
  }

  /** Whether the deadline may have passed by the clock of the upstream, which was told the time that remained. */
  get isLateThere(): boolean {
    return this.dueAtMs >= 0 && this.owner.nowMs() >= this.dueAtMs - timersDifferMs;
  }
}

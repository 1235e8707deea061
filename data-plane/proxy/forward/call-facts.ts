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

/** How far an upstream's timer may be ahead of ours, in milliseconds. Ours is read once per turn of the event loop. */
const timersDifferMs = 50;

/** The facts about a call by which it is judged, routed, counted and observed. `Call` adds the forwarding. */
export class CallFacts implements CallInputs, EndedCall {
  /** The owner of the call. The inbound and the outbound side have the same clock, wheel and labels. */
  protected readonly owner: CallOwner<never>;
  protected phase: Phase = phase.begun;
  /** What the call waits for before it can be sent. null: it waits for nothing. */
  waiting: Leaving | null = null;
  /** The caller's stream. */
  protected readonly inbound: Stream;
  readonly service: string;
  /** The method as "package.Service/Method". */
  readonly method: string;
  /** On an inbound call: the method that the caller asked for, if the route of the caller's proxy rewrote it. */
  calledMethod: string | undefined;
  readonly caller: SpiffeId;
  /** The caller's IP address; undefined if the call came from this proxy's application or its connection is closed. */
  sourceAddress: string | undefined;
  /** The wall-clock time at which the call began, for conditions. */
  nowMs = 0;
  claims: CallInputs["claims"];
  tokenIssuer: CallInputs["tokenIssuer"];
  sourceLabels: CallInputs["sourceLabels"];
  /** Inbound: the proxy of the application that called without it; undefined: the caller is a proxy. */
  reader: string | undefined;
  /** The outside client, as the calling gateway proved it. undefined: the call comes from inside the mesh. */
  client: string | undefined;
  /** Callers take turns where calls wait for a stream: in whose turn this one goes. At a gateway each client has its own. */
  line: string;
  /** The deadline by the owner's clock, in milliseconds. -1: there is none. */
  dueAtMs = -1;
  readonly startedMs: number;
  plan: ForwardPlan | null = null;
  /** Whether the caller's proxy marked the call as a copy, whose answer nobody receives. */
  isMarked = false;
  /**
   * Whether the call is marked as a copy and policy makes such copies. A peer's word alone keeps no call out of the
   * counts.
   */
  isMirrored = false;
  /** The write that an operator replays with this call. undefined: the call is an ordinary one. */
  replay: ReplayedWrite | "malformed" | undefined;
  /** The route's rule that matched the call. It chooses the version. */
  rule: CompiledRouteRule | undefined;
  /** A number that is uniform in [0, 1) and picks the version in the rule's split. */
  versionDraw = 0;
  /** The value by which the call sticks to a version when a split is drawn. undefined: there is none. */
  stickyKey: string | undefined;
  /** How calls to the called service are spread. null: the call goes to the own application or is not routed yet. */
  traffic: ServiceTraffic | null = null;
  /** Tries the call again as policy says. null: policy says nothing. */
  retry: Retrying | null = null;
  /** The key for ringHash. undefined: there is none. */
  balanceKey: string | undefined;
  /** When the first answered attempt was answered, by the owner's clock. -1: none was answered. */
  respondedMs = -1;
  /** How many upstream streams were opened for the call. */
  attempts = 0;
  /** The request's fields. */
  protected kept = KeptFields.none;
  /** The instances that must not get the call again. undefined: there is none. */
  tried: Set<string> | undefined;
  version = "";
  /** The instance that was called last, by its name in the pool. "": none was called. */
  lastEndpoint = "";
  /** The revision that judged the call. Below: the id of its decision if it has one. */
  judgedBy = 0;
  decision: string | undefined;
  /** What telemetry notes about the call. null: most calls have no notes. */
  seen: object | null = null;
  /** The last sequence of its order key that the caller says it knows. "": the caller says none. */
  expectedSequence = "";
  /** The write that a read must have seen, as the caller asks. "": the caller asks for none. */
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
    this.line = caller;
    this.startedMs = nowMs;
  }

  get direction(): Direction {
    return this.owner.direction;
  }

  /** Whether a client outside the mesh made the call, at a gateway. */
  get isFromClient(): boolean {
    return this.owner.isForClients;
  }

  /**
   * The values that conditions read, as they were when the call began. Judging the call again reads the same values.
   */
  get inputs(): CallInputs {
    return this;
  }

  get destinationLabels(): ReadonlyMap<string, string> {
    return this.owner.labels;
  }

  header(name: string): string | undefined {
    return name === headerNames.client ? this.client : this.kept.header(name);
  }

  /** Whether the call is over or answered. Nothing more may be sent upstream for it. */
  get settled(): boolean {
    return this.phase >= phase.passed;
  }

  /** Whether an attempt is upstream that another attempt may still replace. */
  get isTrying(): boolean {
    return this.phase === phase.trying;
  }

  noteTried(proxyId: string): void {
    this.tried ??= new Set();
    this.tried.add(proxyId);
  }

  /** Moves the call to another phase. Returns false if it is too late for that. */
  protected enter(to: Phase): boolean {
    if (!mayEnter(this.phase, to)) return false;
    this.phase = to;
    return true;
  }

  /**
   * Holds the call: nothing is sent until `release`. `gate.leave` is called if the call ends before. False: it has
   * ended already.
   */
  hold(gate: Leaving): boolean {
    if (!this.enter(phase.held)) return false;
    this.waiting = gate;
    return true;
  }

  /** Ends the hold, because what the call waited for has come. False: the call has ended meanwhile. */
  release(): boolean {
    if (!this.enter(phase.begun)) return false;
    this.waiting = null;
    return true;
  }

  /** Lets the caller send `bytes` more while the call is held. */
  takeHeld(bytes: number): void {
    if (bytes > 0) this.inbound.consumed(bytes);
  }

  /** Begins the response of a held call; the call's answer will end the response. False: it is too late for that. */
  beginReply(head: Reply["head"]): boolean {
    if (!this.enter(phase.committed)) return false;
    if (this.respondedMs < 0) this.respondedMs = this.owner.nowMs();
    sendReplyHead(this.inbound, head);
    return true;
  }

  /** Sends more of the response. Returns how many bytes the caller has taken: all of them if the call is over. */
  sendReply(bytes: Uint8Array): number {
    if (this.phase !== phase.committed) return bytes.length;
    this.responseBytes += bytes.length;
    return this.inbound.sendData(bytes, 0, bytes.length, false);
  }

  /** Copies the request's fields, which are valid only now, for conditions and for sending them later. */
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

  /** Whether the deadline has passed for a caller whose clock began a little earlier: that caller cancels first. */
  get isNearlyLate(): boolean {
    if (this.dueAtMs < 0) return false;
    const slackMs = Math.max(50, (this.dueAtMs - this.startedMs) / 10);
    return this.owner.nowMs() >= this.dueAtMs - slackMs;
  }

  /** Whether the deadline has passed by this proxy's clock. */
  get isLate(): boolean {
    return this.dueAtMs >= 0 && this.owner.nowMs() >= this.dueAtMs;
  }

  /** Whether the deadline may have passed by the upstream's clock. The upstream was told the remaining time. */
  get isLateThere(): boolean {
    return this.dueAtMs >= 0 && this.owner.nowMs() >= this.dueAtMs - timersDifferMs;
  }
}

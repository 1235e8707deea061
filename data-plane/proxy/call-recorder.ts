/** Records decisions about calls: refusals, as far as the meter allows, and a sampled share of the others. */
import {
  type DecisionRecord,
  isInShare,
  type LimitOutcome,
  noInputs,
  renderDecisionId,
} from "../../core/decision/decision-record.js";
import { recordHeaders, recordInputs } from "../../core/decision/record-inputs.js";
import { type SpiffeId, trustDomainOf, workloadIn } from "../../core/identity.js";
import { renderTarget } from "../../core/kinds/route/targets.js";
import type { CompiledUnit } from "../../core/policy/compile.js";
import type { ConditionRead } from "../../core/policy/condition/scope.js";
import { renderAvailable } from "../../core/route/available.js";
import { chooseAmong, type PlacedEndpoint, stickyKey } from "../../core/route/choose-target.js";
import { encodeDecision } from "../../core/wire/decisions.js";
import type { Clock } from "../../runtime/clock.js";
import type { EvaluatedPolicy } from "../ports.js";
import { AlikeRecords } from "./alike-records.js";
import { AwaitedRecords, type OfferRecord } from "./awaited-record.js";
import type { DecisionSink } from "./decision-sink.js";
import type { CallObserver } from "./forward/call-observer.js";
import { type JudgedCall, type Judgement, marksOf, type RecordedRefusal } from "./judged-call.js";
import { RefusalMeter } from "./refusal-meter.js";
import { traceOf } from "./traceparent.js";

export interface CallRecorderDeps {
  readonly sink: DecisionSink;
  readonly random: (bytes: number) => Buffer;
  readonly clock: Pick<Clock, "nowMs" | "sleep">;
}

/** A recorded outbound call. `awaited`: the observer that holds the record back until the attempts are known. */
export interface RecordedRoute {
  readonly id: string;
  readonly awaited: CallObserver | undefined;
}

/** How an outbound call was routed. */
export interface RoutedCall {
  readonly service: string;
  readonly method: string;
  readonly policy: EvaluatedPolicy;
  readonly unit: CompiledUnit | undefined;
  readonly header: (name: string) => string | undefined;
  readonly draw: number;
  /** The endpoints that the call may be sent to. */
  readonly available: readonly PlacedEndpoint[];
}

const bitsPerRefill = 1024;
const countsEveryMs = 10_000;
/** A record waits for its call's answer for at least this long and at most twice as long, in milliseconds. */
const awaitedMs = 5000;
/** The most decisions of a candidate that are recorded per interval. */
const shadowsMax = 50;
/** The longest method that is recorded. Calls with a longer one are only counted. */
const methodLengthMax = 2048;
/** The most versions in a record: a call with more to choose from is not recorded. */
const versionsMax = 256;
/** The most characters of an issuer's name or key id in a record, since callers can invent them. */
const tokenProblemLengthMax = 256;
/** What is only counted is taken for calls to the proxy's own service: of others it is not told who called what. */
const untold = { caller: "", method: "", calledMethod: undefined } as const;
const noReads: ReadonlySet<ConditionRead> = new Set();
const noNames: readonly string[] = [];
const noLimits: readonly LimitOutcome[] = Object.freeze([]);

export class CallRecorder {
  readonly #deps: CallRecorderDeps;
  readonly #self: SpiffeId;
  /** The SPIFFE ID of the workload that this proxy runs for. */
  readonly #own: string | undefined;
  readonly #share: number;
  readonly #meter = new RefusalMeter();
  #bits = new Uint32Array(0);
  #nextBits = 0;
  #countsDue = false;
  readonly #alike = new AlikeRecords();
  readonly #awaited = new AwaitedRecords();
  #isSettling = false;
  #shadowUntilMs = 0;
  #shadowLeft = 0;
  readonly #stop = new AbortController();

  /** `self`: the caller of outbound calls. `share`: the recorded share of decisions other than refusals, 0 to 1. */
  constructor(deps: CallRecorderDeps, self: SpiffeId, share: number) {
    this.#deps = deps;
    this.#self = self;
    this.#own = workloadIn(self, trustDomainOf(self));
    this.#share = share;
  }

  /**
   * Records an allowed call if it is sampled, and then returns the record's id. Allocates nothing for the other calls.
   */
  allowed(
    call: JudgedCall,
    service: string,
    policy: EvaluatedPolicy,
    limits: readonly LimitOutcome[] = noLimits,
  ): string | undefined {
    const bits = this.draw();
    return this.isWanted(bits) ? this.#record(call, service, policy, limits, bits) : undefined;
  }

  #record(call: JudgedCall, service: string, policy: EvaluatedPolicy, limits: readonly LimitOutcome[], bits: number) {
    const { caller, method, calledMethod = "", inputs, isMirrored, reader = "" } = call;
    const unit = policy.unit(service);
    const id = this.#newId(bits);
    const judgement = (): Judgement => {
      const rule = unit?.evaluateCall(caller, method, inputs).rule ?? "";
      return { verdict: "allowed", rule, policy, limits };
    };
    // Records of calls that are judged by caller and method alone differ in what a stamp has.
    const isAlike = limits.length === 0 && (unit?.readsOf(caller, method) ?? noReads).size === 0;
    if (!isAlike || method.length > methodLengthMax) {
      this.#offer(this.#judged(call, service, judgement(), id));
      return id;
    }
    const key = [service, caller, method, calledMethod, isMirrored, reader].join("\n");
    const { headers } = recordHeaders(routedBy(call, unit), (name) => inputs.header(name));
    const { traceId } = traceOf(inputs.header("traceparent"), false);
    const stamp = { id, timeMs: Math.floor(inputs.nowMs), headers, traceId };
    this.#deps.sink.offer(this.#alike.encode(key, policy, () => this.#judged(call, service, judgement(), id), stamp));
    return id;
  }

  /** Records a refusal and returns its id. */
  refused(call: JudgedCall, service: string, judgement: Judgement): RecordedRefusal {
    const { caller, method, calledMethod } = call;
    const { verdict, rule, policy } = judgement;
    const nowMs = this.#deps.clock.nowMs();
    const id = this.#newId(this.draw(), nowMs);
    const refusal = { caller, method, calledMethod, rule, verdict, revision: policy.revision };
    const isRecorded = this.#admit(service === this.#own ? refusal : { ...refusal, ...untold }, nowMs);
    if (isRecorded) this.#offer(this.#judged(call, service, judgement, id));
    return { id, isRecorded };
  }

  /** Records what a shadow candidate would have decided, if there is room. The candidate enforces nothing. */
  shadowed(call: JudgedCall, service: string, judgement: Judgement): void {
    const nowMs = this.#deps.clock.nowMs();
    if (nowMs >= this.#shadowUntilMs || nowMs < this.#shadowUntilMs - countsEveryMs) {
      this.#shadowUntilMs = nowMs + countsEveryMs;
      this.#shadowLeft = shadowsMax;
    }
    if (this.#shadowLeft <= 0) return;
    this.#shadowLeft--;
    this.#offer({ ...this.#judged(call, service, judgement, this.#newId(this.draw(), nowMs)), shadow: true });
  }

  /** Whether an allowed call with these random bits is sampled. */
  isWanted(bits: number): boolean {
    return isInShare(bits, this.#share);
  }

  /** Records the route of an outbound call if it has no endpoint or belongs to the share; otherwise returns undefined. */
  routed(call: RoutedCall, bits: number): RecordedRoute | undefined {
    const { service, method, policy, unit, available } = call;
    const placed = new Set(available.map((endpoint) => renderAvailable(endpoint, unit?.routeLabels ?? noNames)));
    if (placed.size > versionsMax) return undefined;
    const found = unit?.findRoute(method, call.header, this.#self);
    const key = found && stickyKey(found, call.header, this.#self);
    const choice = chooseAmong(found, { service, draw: call.draw, key }, available);
    const isRouted = choice.kind !== "none" && available.length > 0;
    const rule = found?.name ?? "";
    const verdict = isRouted ? "routed" : "unrouted";
    if (isRouted) {
      if (!this.isWanted(bits)) return undefined;
    } else {
      const refusal = { caller: this.#self, method, rule, verdict, revision: policy.revision } as const;
      if (!this.#admit(refusal, this.#deps.clock.nowMs())) return undefined;
    }
    const nowMs = this.#deps.clock.nowMs();
    const id = this.#newId(bits, nowMs);
    const versions = [...placed].sort();
    const version = isRouted && choice.kind === "target" ? renderTarget(choice.target) : "";
    const record = (attempts: number): DecisionRecord => ({
      id,
      direction: "outbound",
      service,
      caller: this.#self,
      method,
      ...(found?.rewrite === undefined ? {} : { sentMethod: found.rewrite }),
      ...(attempts === 0 ? {} : { attempts }),
      verdict,
      rule,
      revision: policy.revision,
      epoch: policy.epoch,
      timeMs: nowMs,
      inputs: noInputs,
      routing: { draw: 0, available: versions },
      version,
      limits: noLimits,
      closed: false,
      shadow: false,
    });
    const { headers } = recordHeaders(unit?.routeHeaders(method) ?? noNames, call.header);
    const { traceId } = traceOf(call.header("traceparent"), !isRouted);
    const stamp = { id, timeMs: Math.floor(nowMs), draw: call.draw, headers, traceId };
    const offer = (attempts: number): void => {
      if (method.length > methodLengthMax) return;
      const key = [service, method, rule, verdict, version, attempts, ...versions].join("\n");
      this.#deps.sink.offer(this.#alike.encode(key, policy, () => record(attempts), stamp));
    };
    if (!isRouted) offer(0);
    return { id, awaited: isRouted ? this.#await(offer) : undefined };
  }

  /** Holds the record back until the call's answer begins, but only for some seconds. */
  #await(offer: OfferRecord): CallObserver {
    if (!this.#isSettling) void this.#settleAwaited();
    return this.#awaited.add(offer);
  }

  async #settleAwaited(): Promise<void> {
    const { clock } = this.#deps;
    this.#isSettling = true;
    do {
      await clock.sleep(awaitedMs, this.#stop.signal);
      this.#awaited.settleOld();
    } while (!this.#awaited.isEmpty && !this.#stop.signal.aborted);
    this.#isSettling = false;
  }

  #judged(call: JudgedCall, service: string, judgement: Judgement, id: string): DecisionRecord {
    const { caller, method, calledMethod, inputs } = call;
    const { verdict, rule, policy, tokenProblem, limits = noLimits, closed = false } = judgement;
    const reads = readsOf(call, policy.unit(service));
    return {
      id,
      direction: service === this.#own ? "inbound" : "egress",
      service,
      caller,
      method,
      ...(calledMethod === undefined ? {} : { calledMethod }),
      verdict,
      rule,
      ...(tokenProblem === undefined ? {} : { tokenProblem: tokenProblem.slice(0, tokenProblemLengthMax) }),
      revision: policy.revision,
      epoch: policy.epoch,
      timeMs: Math.floor(inputs.nowMs),
      inputs: recordInputs(reads, inputs),
      routing: undefined,
      version: "",
      limits,
      closed,
      shadow: false,
      ...marksOf(call),
      ...traceOf(inputs.header("traceparent"), verdict !== "allowed"),
    };
  }

  #admit(refusal: Parameters<RefusalMeter["admit"]>[0], nowMs: number): boolean {
    const meter = this.#meter;
    const isLong = refusal.method.length > methodLengthMax;
    if (isLong) meter.count({ ...refusal, caller: "", method: "", calledMethod: undefined }, nowMs);
    else if (meter.admit(refusal, nowMs)) return true;
    if (!this.#countsDue) void this.#offerCountsLater();
    return false;
  }

  async #offerCountsLater(): Promise<void> {
    this.#countsDue = true;
    await this.#deps.clock.sleep(countsEveryMs, this.#stop.signal);
    this.#countsDue = false;
    this.#offerCounts();
  }

  /** Passes on the counted refusals and the records that still wait. */
  close(): void {
    this.#stop.abort();
    this.#awaited.settleAll();
    this.#offerCounts();
  }

  #offerCounts(): void {
    if (this.#meter.hasCounts) this.#deps.sink.offerCounts(this.#meter.takeCounts());
  }

  #offer(record: DecisionRecord): void {
    if (record.method.length <= methodLengthMax) this.#deps.sink.offer(encodeDecision(record));
  }

  #newId(bits: number, nowMs = this.#deps.clock.nowMs()): string {
    return renderDecisionId(nowMs, this.draw(), bits);
  }

  /** Returns 32 random bits. */
  draw(): number {
    if (this.#nextBits >= this.#bits.length) {
      this.#bits = new Uint32Array(new Uint8Array(this.#deps.random(bitsPerRefill * 4)).buffer);
      this.#nextBits = 0;
    }
    return this.#bits[this.#nextBits++] as number;
  }
}

/**
 * Returns what is recorded of a call: the values that the judging rules read, and those that a rewriting route reads.
 */
function readsOf(call: JudgedCall, unit: CompiledUnit | undefined): ReadonlySet<ConditionRead> {
  const reads = unit?.readsOf(call.caller, call.method) ?? noReads;
  const routed = routedBy(call, unit);
  return routed.length === 0 ? reads : new Set([...reads, ...routed.map((name): ConditionRead => `header:${name}`)]);
}

/** Returns the headers that the caller's proxy routed the call by, if routes rewrite methods. */
function routedBy({ method, calledMethod }: JudgedCall, unit: CompiledUnit | undefined): readonly string[] {
  return unit?.hasRewrites === true ? unit.routeHeaders(calledMethod ?? method) : noNames;
}

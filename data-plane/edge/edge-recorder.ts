/** Records refusals of a gateway's listener, bounded so that neither one client nor a crowd can fill the record. */
import { type DecisionRecord, noInputs, renderDecisionId } from "../../core/decision/decision-record.js";
import { type EdgePart, renderEdgeRule } from "../../core/decision/edge-refusals.js";
import type { EdgeProtocol } from "../../core/kinds/gateway/gateway.js";
import { encodeDecision } from "../../core/wire/decisions.js";
import { headerNames } from "../../core/wire/headers.js";
import type { Clock } from "../../runtime/clock.js";
import { networkOf } from "../../runtime/connection-gate.js";
import type { Logger } from "../../runtime/log.js";
import type { EvaluatedPolicy } from "../ports.js";
import type { CallRecorder } from "../proxy/call-recorder.js";
import type { DecisionSink } from "../proxy/decision-sink.js";
import type { OpenCall } from "../proxy/open-calls.js";
import { RefusalMeter } from "../proxy/refusal-meter.js";
import { traceOf } from "../proxy/traceparent.js";

export interface EdgeRecorderDeps {
  readonly decisions: DecisionSink;
  readonly recorder: Pick<CallRecorder, "draw">;
  readonly clock: Pick<Clock, "nowMs" | "sleep">;
  readonly log: Logger;
}

export interface EdgeRefusal {
  readonly part: EdgePart;
  readonly verdict: "denied" | "unauthenticated" | "limited";
  readonly protocol: EdgeProtocol;
  /** What is wrong with the token; undefined: the refusal is about something else, or there is no token. */
  readonly tokenProblem?: string | undefined;
  /** The issuer of a valid token; undefined: no token was checked, or it is invalid. */
  readonly issuer?: string | undefined;
}

/**
 * The most refusals that are recorded one by one in ten seconds, of one client network and of the whole listener; the
 * others are counted.
 */
const limits = { windowMs: 10_000, alikeMax: 5, callerMax: 20, allMax: 100, groupsMax: 64 } as const;
/** Longer names of methods are counted and not recorded. */
const methodLengthMax = 512;

export class EdgeRecorder {
  readonly #deps: EdgeRecorderDeps;
  readonly #gateway: string;
  readonly #listener: string;
  readonly #meter = new RefusalMeter(limits);
  readonly #stop = new AbortController();
  #isCounting = false;

  /** `gateway`: its name in policy; `listener`: the name of one of its listeners. */
  constructor(deps: EdgeRecorderDeps, gateway: string, listener: string) {
    this.#deps = deps;
    this.#gateway = gateway;
    this.#listener = listener;
  }

  /** Passes on what was counted. */
  close(): void {
    this.#stop.abort();
    this.#tellCounts();
  }

  /**
   * Records the refusal of a call of the client at `address`, and reports it to the call's observers. Returns the id of
   * the decision.
   */
  refused(call: OpenCall, address: string, refusal: EdgeRefusal, policy: EvaluatedPolicy, closed: boolean): string {
    const { clock, decisions, log, recorder } = this.#deps;
    const { caller } = call;
    const { part, verdict } = refusal;
    const { revision } = policy;
    const nowMs = clock.nowMs();
    const id = renderDecisionId(nowMs, recorder.draw(), recorder.draw());
    const rule = renderEdgeRule(this.#listener, part);
    const method = call.method.length > methodLengthMax ? "" : call.method;
    call.judged(verdict, policy, id);
    const alike = { caller, method, rule, verdict, revision };
    if (method === "") this.#meter.count({ ...alike, caller: "" }, nowMs);
    else if (this.#meter.admit(alike, nowMs, networkOf(address))) {
      decisions.offer(encodeDecision(this.#describe(call, address, refusal, { id, policy, closed })));
      log.info("refused at the edge", {
        decision: id,
        client: call.inputs.header(headerNames.client),
        address,
        method,
        rule,
        revision,
      });
      return id;
    }
    if (!this.#isCounting) void this.#countsLater();
    return id;
  }

  #describe(
    { caller, method, inputs }: OpenCall,
    address: string,
    { part, verdict, protocol, tokenProblem, issuer }: EdgeRefusal,
    { id, policy, closed }: { readonly id: string; readonly policy: EvaluatedPolicy; readonly closed: boolean },
  ): DecisionRecord {
    const client = inputs.header(headerNames.client);
    const content = client === undefined ? { state: "missing" as const } : { state: "whole" as const, value: client };
    return {
      ...{ id, direction: "edge", service: this.#gateway, caller, method, verdict, protocol },
      rule: renderEdgeRule(this.#listener, part),
      ...(tokenProblem === undefined ? {} : { tokenProblem: tokenProblem.slice(0, 256) }),
      ...{ revision: policy.revision, epoch: policy.epoch, timeMs: Math.floor(inputs.nowMs) },
      inputs: {
        ...noInputs,
        headers: [{ name: headerNames.client, content, digest: "" }],
        source: { address },
        issuer: issuer === undefined ? undefined : { name: issuer },
      },
      ...{ routing: undefined, version: "", limits: [], closed, shadow: false },
      ...traceOf(inputs.header("traceparent"), true),
    };
  }

  async #countsLater(): Promise<void> {
    this.#isCounting = true;
    await this.#deps.clock.sleep(limits.windowMs, this.#stop.signal);
    this.#isCounting = false;
    this.#tellCounts();
  }

  #tellCounts(): void {
    if (this.#meter.hasCounts) this.#deps.decisions.offerCounts(this.#meter.takeCounts());
  }
}

/**
 * Takes calls from other proxies: TLS proves who calls, policy judges the call here, and the application gets the
 * allowed ones.
 */

import { nameIn, type SpiffeId, trustDomainOf, workloadId } from "../../core/identity.js";
import { feedMethod } from "../../core/journal/feed-method.js";
import type { JournalPlan } from "../../core/journal/plan.js";
import type { Label } from "../../core/model.js";
import type { PlacedEndpoint } from "../../core/route/choose-target.js";
import { headerNames } from "../../core/wire/headers.js";
import type { Svid } from "../../runtime/tls-identity.js";
import type { FieldBlock } from "../http2/field-block.js";
import { PreparedField } from "../http2/prepared-field.js";
import type { Stream } from "../http2/stream.js";
import type { AppRegistration, AppView, EvaluatedPolicy } from "../ports.js";
import { type Answer, answerFor, copiedWriteAnswer, unavailableAnswer, unprocessedAnswer } from "./answer.js";
import { labelMap, plainAddress, SourceLabels } from "./call-inputs.js";
import { type CallGate, CallSide, type CallSideDeps } from "./call-side.js";
import { dialApplication, isApplicationGone } from "./dial.js";
import type { Call } from "./forward/call.js";
import type { ForwardPlan } from "./forward/call-owner.js";
import type { Peer } from "./forward/listener.js";
import { inboundLimits, type ListenerLimits } from "./forward/listener-limits.js";
import type { UpstreamSession } from "./forward/upstream-session.js";
import { noteFacts } from "./inbound-facts.js";
import { InboundJudge, type InboundJudgeDeps } from "./inbound-judge.js";
import { judgeOpenCalls } from "./judge-again.js";
import { mirrorField } from "./mirror/mirrored-call.js";
import { OpenCalls } from "./open-calls.js";
import { type ReadWait, readWait } from "./read-wait.js";
import { replayFields } from "./replayed-call.js";
import { endsWithDot } from "./request-head.js";
import { StreamWaiter } from "./stream-queue.js";
import type { TlsState } from "./tls-state.js";
import type { UpstreamPool } from "./upstream-pool.js";

export interface InboundDeps extends CallSideDeps, InboundJudgeDeps {
  readonly tls: TlsState;
  readonly app: AppView;
  /** Connections to the application. */
  readonly pool: UpstreamPool;
  /** Takes writes that policy wants in the journal. Left out: such writes are answered UNAVAILABLE. */
  readonly journal?: Journaling | undefined;
  /** Holds reads at a replica until its application has applied a write. Left out: reads do not wait. */
  readonly reads?: Reading | undefined;
  /** Where this proxy itself serves the journal's event feed. Left out: nowhere. */
  readonly feed?: AppRegistration | undefined;
}

/** Carries the writes of a service that has a journal. */
export interface Journaling {
  /**
   * Returns the gate that ends the call with the write's outcome. `acquire` waits for a stream to the application, if
   * there is an application.
   */
  gateFor(call: Call, plan: JournalPlan, acquire: (waiter: StreamWaiter) => boolean): CallGate;
}

/** Holds back reads that name a write to wait for. */
export interface Reading {
  /** Returns the gate that a read waits at. undefined: the application has applied the write already. */
  gateFor(call: Call, wait: ReadWait): CallGate | undefined;
  /** Whether the application reports what it has applied. */
  readonly isReporting: boolean;
  /** Returns the answer to a read that may not go to the present application, because that one replaced another. */
  refusalNow(call: Call): Answer | undefined;
}

export interface InboundOptions {
  readonly service: string;
  /** The version of the proxy's service, for metrics. */
  readonly version?: string | undefined;
  /** This proxy's own labels, for conditions. */
  readonly labels?: readonly Label[];
  readonly limits?: ListenerLimits;
}

const callersKept = 1000;
const scheme = new PreparedField(":scheme", "http");
const schemeAlone = [scheme];

export class Inbound extends CallSide {
  readonly direction = "inbound";
  readonly fromPeer = false;
  readonly labels: ReadonlyMap<string, string>;
  protected readonly version: string;
  readonly open = new OpenCalls();
  /** The open calls of the event feed. They are not the application's, and they end with the proxy. */
  readonly #feeds = new OpenCalls();
  readonly #deps: InboundDeps;
  readonly #service: string;
  /** This instance, to check whether copies of calls are meant for it. */
  readonly #place: PlacedEndpoint;
  readonly #judge: InboundJudge;
  readonly #stopFollowing: () => void;
  readonly #sourceLabels = new SourceLabels();
  /** The plans for ordinary requests, by caller. All belong to one revision. */
  readonly #plans = new Map<string, ForwardPlan>();
  #plansOf: number | undefined;
  #turnMs = -1;
  #dateMs = 0;
  #app: AppRegistration | undefined;
  #appKey = "";

  constructor(deps: InboundDeps, options: InboundOptions) {
    const { tls } = deps;
    super(deps, options.limits ?? inboundLimits, {
      context: tls.context(),
      admit: (socket) => {
        const svid = tls.verifyCaller(socket);
        const sourceAddress = plainAddress(socket.remoteAddress);
        return { ...callerOf(svid), notAfterMs: svid.notAfterMs, sourceAddress, isOperator: isOperator(svid.spiffeId) };
      },
    });
    this.labels = labelMap(options.labels ?? []);
    this.version = options.version ?? "";
    this.#deps = deps;
    this.#service = options.service;
    this.#place = { version: this.version, labels: options.labels ?? [] };
    this.#judge = new InboundJudge(deps, options.service);
    this.#stopFollowing = deps.policy.onSwitch((policy) => this.#judgeOpen(policy));
  }

  /** Applies a changed identity or trust: new handshakes use it, and open connections are judged by it. */
  refreshTls(): void {
    this.listener.setSecureContext(this.#deps.tls.context());
    this.listener.admitAgain();
  }

  /** Applies changed trust to the tokens of open calls. */
  refreshTokens(): void {
    if (this.#deps.policy.current !== undefined) this.#judgeOpen(this.#deps.policy.current);
  }

  override close(): void {
    this.#stopFollowing();
    super.close();
  }

  override ended(call: Call): void {
    (call.method === feedMethod ? this.#feeds : this.open).remove(call);
    super.ended(call);
  }

  // === A call ===

  protected override onRequest(stream: Stream, fields: FieldBlock, endStream: boolean, peer: Peer | undefined): void {
    if (peer === undefined) throw new Error("an inbound call without a peer"); // an inbound listener always passes a peer
    const { head } = this;
    const call = this.begin(stream, fields, endStream, this.#service, peer.spiffeId);
    if (call === undefined) return;
    call.nowMs = this.#calendarMs(call.startedMs);
    try {
      noteFacts(call, head, fields, peer, this.#sourceLabels);
      const { replay } = call;
      let plan = this.#planFor(typeof replay === "object" ? replay.caller : call.caller, fields);
      if (typeof replay === "object") plan = { ...plan, last: [...plan.last, ...replayFields(replay)] };
      if (head.mirror >= 0 && peer.reader === undefined) {
        call.isMarked = true;
        call.isMirrored =
          this.#deps.policy.current?.unit(this.#service)?.mirrorsTo(this.#place, call.method, call.caller) === true;
        plan = { ...plan, last: [...plan.last, mirrorField] };
      }
      call.keep(fields);
      if (head.epoch > this.#deps.policy.seenEpoch && peer.reader === undefined)
        this.#hear(call, head.epoch, peer, plan);
      else this.#serve(call, peer, plan, fields);
    } catch (error) {
      this.failed(call, error);
    }
  }

  /** Wall-clock time in milliseconds, read once per turn of the event loop. */
  #calendarMs(turnMs: number): number {
    if (turnMs !== this.#turnMs) {
      this.#turnMs = turnMs;
      this.#dateMs = this.#deps.clock.nowMs();
    }
    return this.#dateMs;
  }

  /**
   * Each call carries the highest epoch that its sender has seen. A higher one than ours makes us read the log before
   * we decide.
   */
  #hear(call: Call, epoch: number, peer: Peer, plan: ForwardPlan): void {
    const heard = this.#deps.policy.hearOfEpoch(epoch, peer.spiffeId).then(() => undefined);
    void this.after(call, heard, () => this.#serve(call, peer, plan, null));
  }

  /**
   * Returns the plan with the fields to add to the request's own. It may move `:authority` from the request into the
   * plan.
   */
  #planFor(caller: string, fields: FieldBlock): ForwardPlan {
    const { head, revision } = this;
    if (revision !== this.#plansOf || this.#plans.size >= callersKept) {
      this.#plans.clear();
      this.#plansOf = revision;
    }
    let plan = this.#plans.get(caller);
    if (plan === undefined) {
      plan = { first: schemeAlone, last: [new PreparedField(headerNames.caller, caller)], revision: revision ?? 0 };
      this.#plans.set(caller, plan);
    }
    plan = this.withTe(plan, head.te >= 0);
    if (head.authority >= 0 && !endsWithDot(fields, head.authority)) return plan;
    const authority = new PreparedField(":authority", head.authorityText(fields));
    if (head.authority >= 0) fields.drop(head.authority);
    return { ...plan, first: [scheme, authority] };
  }

  /** Sends an allowed call to its target. `fields`: null uses the fields that the call keeps. */
  #serve(call: Call, peer: Peer, plan: ForwardPlan, fields: FieldBlock | null): void {
    const { policy, app, pool } = this.#deps;
    const refusal = this.#judge.judge(call, peer);
    if (refusal !== undefined) {
      call.answer(refusal);
      return;
    }
    const revision = policy.current?.revision ?? 0;
    call.plan = plan.revision === revision ? plan : { ...plan, revision };
    const claims = this.#judge.claimsField(call);
    if (call.client !== undefined)
      call.plan = { ...call.plan, last: [...call.plan.last, new PreparedField(headerNames.client, call.client)] };
    if (claims !== undefined) call.plan = { ...call.plan, last: [...call.plan.last, claims] };
    if (call.method === feedMethod) {
      this.#feeds.add(call);
      this.carry(call);
      return;
    }
    this.open.add(call);
    const journal = policy.current?.unit(this.#service)?.journal;
    if (journal?.isWrite(call.method) === true && call.replay === undefined) {
      this.#journal(call, journal);
      return;
    }
    const wait = this.#waitOf(call);
    if (this.waitsForGate(call, wait && this.#deps.reads?.gateFor(call, wait))) return;
    const registered = app.current;
    if (registered !== undefined) {
      if (registered !== this.#app) this.#noteApp(registered);
      const session = pool.find(this.#appKey);
      if (session?.hasRoom && call.send(session, fields)) return;
    }
    this.carry(call);
  }

  #journal(call: Call, plan: JournalPlan): void {
    const { journal, app, pool } = this.#deps;
    if (call.isMarked) {
      call.answer(copiedWriteAnswer(this.revision)); // it would be one more write in the service's history
      return;
    }
    if (journal === undefined) {
      call.answer(unavailableAnswer("journal", "this proxy cannot reach the journal of the service", this.revision));
      return;
    }
    const acquire = (waiter: StreamWaiter): boolean => {
      const registered = app.current;
      if (registered === undefined) return false;
      pool.acquire({ key: keyOf(registered), dial: () => this.#dial(registered) }, waiter);
      return true;
    };
    this.waitsForGate(call, journal.gateFor(call, plan, acquire));
  }

  /** Returns how a read that names a write waits here. undefined: it does not wait. */
  #waitOf({ afterSequence, method, isMarked }: Call): ReadWait | undefined {
    if (afterSequence === "" || isMarked) return undefined;
    const journal = this.#deps.policy.current?.unit(this.#service)?.journal;
    return readWait(journal, method, this.#place, this.#deps.reads?.isReporting === true);
  }

  #noteApp(registered: AppRegistration): void {
    this.#app = registered;
    this.#appKey = keyOf(registered);
  }

  /** Returns where the call goes: to the application, or to the server of the event feed. */
  #targetOf({ method }: Call): AppRegistration | undefined {
    return method === feedMethod ? this.#deps.feed : this.#deps.app.current;
  }

  override carry(call: Call): void {
    const { pool } = this.#deps;
    const registered = this.#targetOf(call);
    if (call.isLate || registered === undefined) {
      const what = call.method === feedMethod ? "event feed" : "application";
      const message = `no ${what} of ${this.#service} is registered here`;
      if (call.isLate) call.onDue();
      else call.answer(unprocessedAnswer("no-application", message, call.plan?.revision));
      return;
    }
    const refusal = this.#waitOf(call) && this.#deps.reads?.refusalNow(call);
    if (refusal !== undefined) return void call.answer(refusal);
    const open = (session: UpstreamSession): boolean => call.send(session, null);
    const waiter = new StreamWaiter(call.caller, open, (failure) => this.#carried(call, registered, failure));
    call.waiting = waiter;
    pool.acquire({ key: keyOf(registered), dial: () => this.#dial(registered) }, waiter);
  }

  #carried(call: Call, registered: AppRegistration, failure: unknown): void {
    call.waiting = null;
    if (failure === undefined || call.settled) return;
    const current = this.#targetOf(call);
    const isReplaced = current !== undefined && keyOf(current) !== keyOf(registered);
    if (isReplaced) this.carry(call);
    else {
      const answer = answerFor(failure, "the application is not reached", call.plan?.revision);
      call.answer({ ...answer, isUnprocessed: answer.reason === "unreachable" }); // its application saw nothing of it
    }
  }

  async #dial(registered: AppRegistration) {
    try {
      return await dialApplication(registered.target);
    } catch (error) {
      if (isApplicationGone(error)) this.#deps.app.reportRefused(registered);
      throw error;
    }
  }

  #judgeOpen(policy: EvaluatedPolicy): void {
    for (const calls of [this.open, this.#feeds])
      judgeOpenCalls(calls, this.#deps, policy, (call) => this.#judge.judgeOpen(call, policy));
  }
}

/** Whom policy judges: an application that reads directly is its service. */
function callerOf({ spiffeId, trustDomain, reader }: Svid): Pick<Peer, "spiffeId" | "reader"> {
  if (reader === undefined) return { spiffeId };
  return { spiffeId: workloadId(trustDomain, reader.service), reader: reader.proxyId };
}

function isOperator(id: SpiffeId): boolean {
  return nameIn(id, trustDomainOf(id), "operator") !== undefined;
}

function keyOf({ instance, target }: AppRegistration): string {
  return "path" in target ? `${instance} unix:${target.path}` : `${instance} ${target.host}:${target.port}`;
}
